// SPDX-License-Identifier: MIT
//
// The repository's own script directory, as the host's helper takes it: path -> bytes.

import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const SCRIPTS = fileURLToPath(new URL("../../../scripts", import.meta.url));

export async function demo() {
  const files = {};
  for (const entry of await readdir(SCRIPTS, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile()) files[relative(SCRIPTS, path)] = await readFile(path);
  }
  return files;
}
