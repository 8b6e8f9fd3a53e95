/* A policy in flash, run from C: tests itself, replays recorded steps, prints the answers and what they cost.
 *
 * The lines up to "instructions" are those of the host's `cargo run -p ddn-runtime --example replay`. */
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "ddn_runtime.h"

/* The largest sizes this program has room for. */
#define MEMORY 256U
#define SCRATCH 2048U
#define ACTIONS 64U

/* The files, in flash.S. */
extern const uint8_t policy_file[], episodes_file[];
extern const uint32_t policy_file_len, episodes_file_len;

static DdnPolicy policy;
static DdnRecording episodes;
static float memory[MEMORY];
static float scratch[SCRATCH];
static uint8_t available[ACTIONS];

/* Instructions to open the file; smallest, largest and sum of those of a step. */
static uint32_t opening, cheapest = UINT32_MAX, dearest, sum;

static DdnStatus open_files(uint32_t *steps)
{
    DdnStatus status;
    uint32_t tested;

    counter_begin();
    status = ddn_policy_open(&policy, policy_file, policy_file_len);
    opening = counter_end();
    if (status == DDN_STATUS_OK) {
        status = ddn_policy_verify(&policy, memory, MEMORY, scratch, SCRATCH, &tested);
    }
    if (status == DDN_STATUS_OK) {
        line_begin("self-test ");
        line_number(tested);
        line_text(" steps");
        line_end();
        status = ddn_recording_open(&episodes, &policy, episodes_file, episodes_file_len, steps);
    }
    return status;
}

static uint32_t bits_of(float value)
{
    union {
        float value;
        uint32_t bits;
    } both;

    both.value = value;
    return both.bits;
}

/* Takes one recorded step, prints it, and says whether the answer was the recorded one. */
static DdnStatus replay(uint32_t index, uint32_t *differs)
{
    DdnStep step;
    DdnInput input;
    DdnAction action;
    DdnStatus status;
    uint32_t instructions;
    size_t i;

    status = ddn_recording_step(&episodes, index, &step);
    if (status != DDN_STATUS_OK) {
        return status;
    }
    for (i = 0U; (i < step.n_actions) && (i < ACTIONS); i++) {
        available[i] = (step.available[i] > 0.0F) ? 1U : 0U;
    }
    input.obs = step.obs;
    input.obs_len = step.obs_len;
    input.available = available;
    input.available_len = i;
    input.agent = step.agent;
    input.last_action = step.last_action;
    if (step.last_action == DDN_NO_ACTION) {
        status = ddn_policy_reset(&policy, memory, MEMORY);
        if (status != DDN_STATUS_OK) {
            return status;
        }
    }

    counter_begin();
    status = ddn_policy_act(&policy, memory, MEMORY, &input, scratch, SCRATCH, &action);
    instructions = counter_end();
    if (status != DDN_STATUS_OK) {
        return status;
    }

    sum += instructions;
    cheapest = (instructions < cheapest) ? instructions : cheapest;
    dearest = (instructions > dearest) ? instructions : dearest;
    line_begin("step ");
    line_number(index);
    line_text(" agent ");
    line_number(step.agent);
    line_text(" action ");
    line_number(action.index);
    line_text(" q");
    *differs = (action.index == step.action) ? 0U : 1U;
    for (i = 0U; i < action.q_len; i++) {
        line_text(" ");
        line_bits(action.q[i]);
        if (bits_of(action.q[i]) != bits_of(step.q[i])) {
            *differs = 1U;
        }
    }
    line_end();
    return DDN_STATUS_OK;
}

static DdnStatus run(uint32_t *differ)
{
    DdnStatus status;
    uint32_t index, differs, steps = 0U;

    status = open_files(&steps);
    for (index = 0U; (status == DDN_STATUS_OK) && (index < steps); index++) {
        status = replay(index, &differs);
        *differ += (status == DDN_STATUS_OK) ? differs : 0U;
    }
    if (status == DDN_STATUS_OK) {
        line_begin("instructions per step: min ");
        line_number(cheapest);
        line_text(" mean ");
        line_number(sum / steps);
        line_text(" max ");
        line_number(dearest);
        line_end();
        line_begin("instructions to open the file: ");
        line_number(opening);
        line_end();
        line_begin("steps that differ from the recording: ");
        line_number(*differ);
        line_end();
    }
    return status;
}

int main(void)
{
    DdnStatus status;
    uint32_t differ = 0U;

    counter_start();
    if (ddn_abi_version() != DDN_ABI_VERSION) {
        line_begin("failed: the library has another version than its header");
        line_end();
        return 1;
    }
    status = run(&differ);
    if (status != DDN_STATUS_OK) {
        line_begin("failed: ");
        line_text(ddn_status_text(status));
        line_end();
        return 1;
    }
    return (differ == 0U) ? 0 : 1;
}
