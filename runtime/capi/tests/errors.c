/* The header and the library from C on the host: every kind of mistake has its code, and two policies run at once.
 *
 *     errors POLICY
 *
 * POLICY is a model file that carries recorded steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ddn_runtime.h"

#define MEMORY 256U
#define SCRATCH 2048U
#define OBS 256U
#define ACTIONS 64U

static unsigned checks, failures;

#define CHECK(want, call) check((want), (call), #call, __LINE__)
#define HOLDS(condition) CHECK(1U, (condition) ? 1U : 0U)

static void check(DdnStatus want, DdnStatus got, const char *call, int line)
{
    checks++;
    if (want != got) {
        failures++;
        printf("line %d: %s\n  is %u (%s), not %u\n", line, call, (unsigned)got, ddn_status_text(got), (unsigned)want);
    }
}

static void *displaced(void *pointer)
{
    return (unsigned char *)pointer + 1;
}

static unsigned char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = malloc(1U << 20);

    if ((file == NULL) || (bytes == NULL)) {
        printf("%s cannot be read\n", path);
        exit(1);
    }
    *len = fread(bytes, 1U, 1U << 20, file);
    (void)fclose(file);
    return bytes;
}

/* One agent: its policy and its buffers. */
typedef struct {
    DdnPolicy policy;
    float memory[MEMORY];
    float scratch[SCRATCH];
} Agent;

static Agent first, second;
static float obs[OBS];
static uint8_t available[ACTIONS];
static DdnSizes sizes;
static DdnAction action;
static uint32_t steps;

static DdnStatus act(Agent *agent, const DdnInput *input)
{
    return ddn_policy_act(&agent->policy, agent->memory, MEMORY, input, agent->scratch, SCRATCH, &action);
}

static void not_open(DdnPolicy *policy)
{
    DdnInput input = {obs, 1U, available, 1U, 0U, DDN_NO_ACTION};
    DdnText text;
    DdnRecording recording = {{0}};

    CHECK(DDN_STATUS_NOT_OPEN, ddn_policy_sizes(policy, &sizes));
    CHECK(DDN_STATUS_NOT_OPEN, ddn_policy_contract(policy, &text));
    CHECK(DDN_STATUS_NOT_OPEN, ddn_policy_action_name(policy, 0U, &text));
    CHECK(DDN_STATUS_NOT_OPEN, ddn_policy_reset(policy, first.memory, MEMORY));
    CHECK(DDN_STATUS_NOT_OPEN,
          ddn_policy_verify(policy, first.memory, MEMORY, first.scratch, SCRATCH, &steps));
    CHECK(DDN_STATUS_NOT_OPEN,
          ddn_policy_act(policy, first.memory, MEMORY, &input, first.scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_NOT_OPEN, ddn_recording_open(&recording, policy, available, ACTIONS, &steps));
}

static void opening(unsigned char *file, size_t len)
{
    DdnPolicy *policy = &first.policy;
    size_t cut;
    unsigned char *moved = malloc(len + 4U);

    not_open(policy);
    CHECK(DDN_STATUS_NULL, ddn_policy_open(NULL, file, len));
    CHECK(DDN_STATUS_NULL, ddn_policy_open(policy, NULL, len));
    CHECK(DDN_STATUS_HEADER_LENGTH, ddn_policy_open(policy, NULL, 0U));
    CHECK(DDN_STATUS_MISALIGNED, ddn_policy_open((DdnPolicy *)displaced(policy), file, len));
    CHECK(DDN_STATUS_LENGTH, ddn_policy_open(policy, file, SIZE_MAX));
    CHECK(DDN_STATUS_OVERLAP, ddn_policy_open(policy, (const uint8_t *)policy, 64U));
    for (cut = 0U; cut < len; cut += 4099U) {
        DdnStatus status = ddn_policy_open(policy, file, cut);
        HOLDS((status >= 16U) && (status < 48U));
    }
    CHECK(DDN_STATUS_OFFSETS, ddn_policy_open(policy, file, len - 1U));
    if (moved != NULL) {
        (void)memcpy(moved + 1, file, len);
        CHECK(DDN_STATUS_FILE_MISALIGNED, ddn_policy_open(policy, moved + 1, len));
    }
    not_open(policy);
    CHECK(DDN_STATUS_OK, ddn_policy_open(policy, file, len));
    CHECK(DDN_STATUS_OK, ddn_policy_close(policy));
    not_open(policy);
    CHECK(DDN_STATUS_NULL, ddn_policy_close(NULL));
    CHECK(DDN_STATUS_OK, ddn_policy_open(policy, file, len));
    CHECK(DDN_STATUS_OK, ddn_policy_open(policy, file, len));
    free(moved);
}

static void asking(void)
{
    DdnText text;

    CHECK(DDN_STATUS_NULL, ddn_policy_sizes(&first.policy, NULL));
    CHECK(DDN_STATUS_OK, ddn_policy_sizes(&first.policy, &sizes));
    HOLDS((sizes.memory_len <= MEMORY) && (sizes.scratch_len <= SCRATCH));
    HOLDS((sizes.obs_dim > 0U) && (sizes.obs_dim <= OBS));
    HOLDS((sizes.n_actions > 0U) && (sizes.n_actions <= ACTIONS));
    HOLDS((sizes.n_agents > 0U) && (sizes.recorded_steps > 0U));
    CHECK(DDN_STATUS_OK, ddn_policy_contract(&first.policy, &text));
    HOLDS(text.len == 64U);
    CHECK(DDN_STATUS_OK, ddn_policy_action_name(&first.policy, 0U, &text));
    HOLDS(text.len > 0U);
    CHECK(DDN_STATUS_NO_SUCH_INDEX, ddn_policy_action_name(&first.policy, (uint32_t)sizes.n_actions, &text));
}

static void testing(void)
{
    DdnPolicy *policy = &first.policy;
    float *memory = first.memory, *scratch = first.scratch;

    CHECK(DDN_STATUS_OK, ddn_policy_verify(policy, memory, MEMORY, scratch, SCRATCH, &steps));
    HOLDS(steps == sizes.recorded_steps);
    CHECK(DDN_STATUS_NULL, ddn_policy_verify(policy, NULL, MEMORY, scratch, SCRATCH, &steps));
    CHECK(DDN_STATUS_NULL, ddn_policy_verify(policy, memory, MEMORY, scratch, SCRATCH, NULL));
    CHECK(DDN_STATUS_MEMORY, ddn_policy_verify(policy, memory, 1U, scratch, SCRATCH, &steps));
    CHECK(DDN_STATUS_SCRATCH, ddn_policy_verify(policy, memory, MEMORY, scratch, 1U, &steps));
    CHECK(DDN_STATUS_OVERLAP, ddn_policy_verify(policy, memory, MEMORY, memory, MEMORY, &steps));
}

static void acting(void)
{
    DdnPolicy *policy = &first.policy;
    float *memory = first.memory, *scratch = first.scratch;
    DdnInput input = {obs, sizes.obs_dim, available, sizes.n_actions, 0U, DDN_NO_ACTION};
    DdnInput wrong;
    void *displaced_memory = displaced(memory), *displaced_scratch = displaced(scratch);

    CHECK(DDN_STATUS_OK, ddn_policy_reset(policy, memory, MEMORY));
    CHECK(DDN_STATUS_MEMORY, ddn_policy_reset(policy, memory, sizes.memory_len - 1U));
    (void)memset(available, 1, sizeof available);

    CHECK(DDN_STATUS_NULL, ddn_policy_act(NULL, memory, MEMORY, &input, scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_NULL, ddn_policy_act(policy, NULL, MEMORY, &input, scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_NULL, ddn_policy_act(policy, memory, MEMORY, NULL, scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_NULL, ddn_policy_act(policy, memory, MEMORY, &input, NULL, SCRATCH, &action));
    CHECK(DDN_STATUS_NULL, ddn_policy_act(policy, memory, MEMORY, &input, scratch, SCRATCH, NULL));
    CHECK(DDN_STATUS_MISALIGNED,
          ddn_policy_act(policy, (float *)displaced_memory, MEMORY - 1U, &input, scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_MISALIGNED,
          ddn_policy_act(policy, memory, MEMORY, &input, (float *)displaced_scratch, SCRATCH - 1U, &action));
    CHECK(DDN_STATUS_MEMORY,
          ddn_policy_act(policy, memory, sizes.memory_len - 1U, &input, scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_SCRATCH,
          ddn_policy_act(policy, memory, MEMORY, &input, scratch, sizes.scratch_len - 1U, &action));
    CHECK(DDN_STATUS_LENGTH, ddn_policy_act(policy, memory, SIZE_MAX, &input, scratch, SCRATCH, &action));
    CHECK(DDN_STATUS_OVERLAP, ddn_policy_act(policy, memory, MEMORY, &input, memory, MEMORY, &action));

    wrong = input;
    wrong.obs = NULL;
    CHECK(DDN_STATUS_NULL, act(&first, &wrong));
    wrong = input;
    wrong.available = NULL;
    CHECK(DDN_STATUS_NULL, act(&first, &wrong));
    wrong = input;
    wrong.obs_len++;
    CHECK(DDN_STATUS_OBS, act(&first, &wrong));
    wrong = input;
    wrong.available_len--;
    CHECK(DDN_STATUS_AVAILABLE, act(&first, &wrong));
    wrong = input;
    wrong.agent = (uint32_t)sizes.n_agents;
    CHECK(DDN_STATUS_INDEX, act(&first, &wrong));
    wrong = input;
    wrong.last_action = (uint32_t)sizes.n_actions;
    CHECK(DDN_STATUS_INDEX, act(&first, &wrong));
    available[0] = 2U;
    CHECK(DDN_STATUS_MASK, act(&first, &input));
    (void)memset(available, 0, sizeof available);
    CHECK(DDN_STATUS_NO_ACTION, act(&first, &input));
    (void)memset(available, 1, sizeof available);
    obs[0] /= 0.0F;
    CHECK(DDN_STATUS_NOT_FINITE, act(&first, &input));
    obs[0] = 0.0F;
    CHECK(DDN_STATUS_OK, act(&first, &input));
    HOLDS((action.q_len == sizes.n_actions) && (action.index < sizes.n_actions));
    HOLDS((action.q >= scratch) && (action.q < (scratch + SCRATCH)));
}

/* Two policies and two agents, a step of each in turn: both give the recorded answers. */
static void two_at_once(const unsigned char *file, const unsigned char *copy, size_t len)
{
    Agent *agents[2] = {&first, &second};
    DdnRecording recording = {{0}};
    DdnStep step;
    uint32_t index, turn, differ = 0U;
    size_t i;

    CHECK(DDN_STATUS_OK, ddn_policy_open(&first.policy, file, len));
    CHECK(DDN_STATUS_OK, ddn_policy_open(&second.policy, copy, len));
    CHECK(DDN_STATUS_OK, ddn_policy_assume_verified(&first.policy));
    CHECK(DDN_STATUS_OK, ddn_policy_verify(&second.policy, second.memory, MEMORY, second.scratch, SCRATCH, &steps));
    CHECK(DDN_STATUS_OK, ddn_recording_open(&recording, &first.policy, file, len, &steps));
    HOLDS(steps == sizes.recorded_steps);
    CHECK(DDN_STATUS_NO_SUCH_INDEX, ddn_recording_step(&recording, steps, &step));
    CHECK(DDN_STATUS_NULL, ddn_recording_step(&recording, 0U, NULL));
    for (index = 0U; index < steps; index++) {
        CHECK(DDN_STATUS_OK, ddn_recording_step(&recording, index, &step));
        HOLDS((step.obs_len == sizes.obs_dim) && (step.n_actions == sizes.n_actions));
        for (i = 0U; i < step.n_actions; i++) {
            available[i] = (step.available[i] > 0.0F) ? 1U : 0U;
        }
        for (turn = 0U; turn < 2U; turn++) {
            DdnInput input = {step.obs, step.obs_len, available, step.n_actions, step.agent, step.last_action};
            Agent *agent = agents[turn];

            if (step.last_action == DDN_NO_ACTION) {
                CHECK(DDN_STATUS_OK, ddn_policy_reset(&agent->policy, agent->memory, MEMORY));
            }
            CHECK(DDN_STATUS_OK, act(agent, &input));
            differ += (action.index == step.action) ? 0U : 1U;
            differ += (memcmp(action.q, step.q, step.n_actions * sizeof *step.q) == 0) ? 0U : 1U;
        }
    }
    HOLDS(differ == 0U);
    CHECK(DDN_STATUS_OK, ddn_recording_close(&recording));
    CHECK(DDN_STATUS_NOT_OPEN, ddn_recording_step(&recording, 0U, &step));
}

int main(int argc, char **argv)
{
    size_t len;
    unsigned char *file, *copy;

    if (argc != 2) {
        printf("usage: errors POLICY\n");
        return 2;
    }
    file = read_file(argv[1], &len);
    copy = read_file(argv[1], &len);
    HOLDS(ddn_abi_version() == DDN_ABI_VERSION);
    HOLDS(strcmp(ddn_status_text(DDN_STATUS_OK), "ok") == 0);
    HOLDS(strcmp(ddn_status_text(12345U), "unknown status") == 0);
    opening(file, len);
    asking();
    testing();
    acting();
    two_at_once(file, copy, len);
    printf("%u checks, %u failures\n", checks, failures);
    free(file);
    free(copy);
    return (failures == 0U) ? 0 : 1;
}
