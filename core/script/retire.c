// SPDX-License-Identifier: MIT
//
// Every 50 ms those sessions go whose share of the time, a hash of the serial, has come.
#include "script/retire.h"

#include <string.h>

#include "base/mem.h"
#include "base/wheel.h"
#include "hark.h"
#include "script/slot.h"
#include "script/state.h"
#include "session/session.h"

#define LOOK_MS 50
#define WHY_MAX 123

struct retire {
    struct hark_list node; // in hark_script.retires
    struct hark_timer timer;
    struct hark_script *script;
    uint64_t slot_serial;
    uint32_t turn; // slot->retiring when it began
    uint64_t began_ms;
    uint64_t spread_ms;
    size_t why_len;
    char why[WHY_MAX];
};

static void look(struct hark_timer *timer);
static void end(struct retire *retire);

static struct hark_slot *find(const struct retire *retire)
{
    hark_list_for_each (node, &retire->script->slots) {
        struct hark_slot *slot = HARK_CONTAINER_OF(node, struct hark_slot, node);
        if (slot->serial == retire->slot_serial) {
            return slot->retiring == retire->turn ? slot : NULL;
        }
    }
    return NULL;
}

int hark_retire_start(struct hark_slot *slot, struct hark_slice why, uint64_t spread_ms)
{
    struct hark_script *script = slot->script;
    struct retire *retire = hark_mem_zalloc(sizeof(*retire));
    if (retire == NULL) {
        return HARK_ENOMEM;
    }
    slot->retiring++;
    retire->script = script;
    retire->slot_serial = slot->serial;
    retire->turn = slot->retiring;
    retire->began_ms = *script->sessions->now_ms;
    retire->spread_ms = spread_ms;
    retire->why_len = why.len < WHY_MAX ? why.len : WHY_MAX;
    memcpy(retire->why, why.ptr, retire->why_len);
    hark_list_init(&retire->node);
    hark_list_push(&script->retires, &retire->node);
    hark_timer_init(&retire->timer, look);
    hark_wheel_arm(script->sessions->wheel, &retire->timer, retire->began_ms + LOOK_MS);
    return 0;
}

static void drain_if_due(void *ctx, struct hark_session *session)
{
    const struct retire *retire = ctx;
    uint64_t passed_ms = *retire->script->sessions->now_ms - retire->began_ms;
    uint64_t share = (hark_session_serial(session) * 0x9E3779B97F4A7C15ULL) >> 32;
    uint64_t due_ms = retire->spread_ms == 0 ? 0 : share % retire->spread_ms;
    if (passed_ms >= due_ms) {
        hark_session_drain(session, hark_slice(retire->why, retire->why_len));
    }
}

static void look(struct hark_timer *timer)
{
    struct retire *retire = HARK_CONTAINER_OF(timer, struct retire, timer);
    struct hark_session_env *env = retire->script->sessions;
    struct hark_slot *slot = find(retire);
    if (slot == NULL) {
        end(retire);
        return;
    }
    hark_slot_each(slot, drain_if_due, retire);
    if (*env->now_ms - retire->began_ms > retire->spread_ms) {
        end(retire);
    } else {
        hark_wheel_arm(env->wheel, timer, *env->now_ms + LOOK_MS);
    }
}

static void end(struct retire *retire)
{
    hark_wheel_cancel(retire->script->sessions->wheel, &retire->timer);
    hark_list_remove(&retire->node);
    hark_mem_free(retire);
}

void hark_retire_free_all(struct hark_script *script)
{
    while (!hark_list_is_empty(&script->retires)) {
        end(HARK_CONTAINER_OF(script->retires.next, struct retire, node));
    }
}
