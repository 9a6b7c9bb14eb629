// SPDX-License-Identifier: MIT
//
// One opener for each file of functions that make up `hark.core`: it adds its functions to the
// table on top of the stack. Called once a state, protected.
#ifndef HARK_SCRIPT_BIND_H
#define HARK_SCRIPT_BIND_H

#include <lua.h>

struct hark_shared;

// For every state, also a scratch one:
void hark_bind_value(lua_State *L); // pack, unpack, json, hmac, digest, equal, random, base64
void hark_bind_host(lua_State *L);  // log, now, version, worker, read_tree, no_wait, limited, block
void hark_bind_shared(lua_State *L, struct hark_shared *shared); // shared; NULL: a store of its own

// For a worker's state:
void hark_bind_req(lua_State *L);    // set_params, set_user, and what a request says
void hark_bind_answer(lua_State *L); // respond, refuse, add_header, static
void hark_bind_accept(lua_State *L); // accept, reject, attach, poll, post, delete, move, owner, ...
void hark_bind_slot(lua_State *L);   // slot, slot_set, slot_clear, slot_count, retire, channels_set
void hark_bind_sessions(
    lua_State *L);                 // session, sessions, close_session, disconnect, conn_user, ...
void hark_bind_hub(lua_State *L);  // publish, history, presence
void hark_bind_task(lua_State *L); // spawn, sleep

// The metatable of connections.
void hark_bind_conn_methods(lua_State *L);
// Adds join, leave, joined to the table on top.
void hark_bind_join(lua_State *L);
// presence(channel) itself.
int hark_bind_presence(lua_State *L);

#endif
