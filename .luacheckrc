std = "lua54"
max_line_length = 100
max_cyclomatic_complexity = 12
files["spec/**/*_spec.lua"] = { std = "+busted" }
