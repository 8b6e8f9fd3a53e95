/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Acts: runs the frozen local policy network of one agent. The C interface of the Rust crate ddn-runtime, C99 or later.
 *
 * Nothing is global and nothing is allocated. A policy lives in storage of the caller, a DdnPolicy; one policy serves
 * any number of agents, and a program may open several. What an agent remembers from step to step is a vector of
 * floats of the caller's, one for each agent.
 *
 *     static DdnPolicy policy;
 *     static float memory[AGENTS][64], scratch[2048];
 *     DdnSizes sizes;
 *     DdnAction action;
 *
 *     status = ddn_policy_open(&policy, file, file_len);
 *     status = ddn_policy_sizes(&policy, &sizes);             compare with the buffers
 *     status = ddn_policy_reset(&policy, memory[agent], 64);  before each episode
 *     status = ddn_policy_act(&policy, memory[agent], 64, &input, scratch, 2048, &action);
 *
 * The contract of every function:
 *
 * - A pointer points to one value, or to as many as the length beside it says. Lengths count elements, not bytes.
 * - A handle was filled with zeros before its first use, and is not copied.
 * - The file of an open handle stays where it is, unchanged, until the handle is closed.
 * - While a call runs, nothing else writes to what it reads, or reads or writes what it writes.
 *
 * Null and misaligned pointers, wrong lengths, overlaps, and handles that are not open are answered with an error code;
 * so is every fault of a file. Unless a function says otherwise, an error leaves everything as it was.
 * No function allocates, recurses, panics, calls back, or keeps a pointer other than that to an open file.
 *
 * Made by cbindgen from runtime/capi; do not edit.
 */


#ifndef DDN_RUNTIME_H
#define DDN_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

// Words, of the size of a pointer, of a policy's handle.
#define DDN_POLICY_WORDS 1024

// Words, of the size of a pointer, of a recording's handle.
#define DDN_RECORDING_WORDS 32

// What stands for no last action, at the first step of an episode.
#define DDN_NO_ACTION UINT32_MAX

// The version of this interface. A library and a header of the same version fit together.
#define DDN_ABI_VERSION 1

// What a call answers. Codes keep their meaning in later versions; new ones may come.
//
// 1 to 15: an argument; 16 to 47: a file; 48 to 63: a step; 64 to 79: a verification.
enum DdnStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    DDN_STATUS_OK = 0,
    // A pointer is null. Where a length stands beside it, null and 0 together are an empty vector.
    DDN_STATUS_NULL = 1,
    // A pointer is not aligned for what it points to.
    DDN_STATUS_MISALIGNED = 2,
    // A length leaves the address space.
    DDN_STATUS_LENGTH = 3,
    // What is written overlaps something else that is used.
    DDN_STATUS_OVERLAP = 4,
    // The handle is not open.
    DDN_STATUS_NOT_OPEN = 5,
    // There is no action or step of this index.
    DDN_STATUS_NO_SUCH_INDEX = 6,
    // A text of the file is written with escapes, and cannot be given as it lies there.
    DDN_STATUS_ESCAPED = 7,
    // The policy has not been verified.
    DDN_STATUS_NOT_VERIFIED = 8,
    // The file is cut short within its header, or the header is too long.
    DDN_STATUS_HEADER_LENGTH = 16,
    // The header is not UTF-8.
    DDN_STATUS_HEADER_UTF8 = 17,
    // The header is not the JSON of a safetensors file.
    DDN_STATUS_JSON = 18,
    // A key occurs twice.
    DDN_STATUS_DUPLICATE = 19,
    // There are more tensors or metadata entries than fit.
    DDN_STATUS_TOO_MANY = 20,
    // A tensor has a type that cannot be read.
    DDN_STATUS_DTYPE = 21,
    // A tensor has a shape that cannot be read.
    DDN_STATUS_SHAPE = 22,
    // A tensor's offsets leave the file or its shape, or overlap another's. So it is with a file that was cut short.
    DDN_STATUS_OFFSETS = 23,
    // Bytes belong to no tensor.
    DDN_STATUS_HOLES = 24,
    // The data of the file do not begin at a multiple of four bytes. Align the file to 16.
    DDN_STATUS_FILE_MISALIGNED = 25,
    // A metadata key is absent.
    DDN_STATUS_MISSING = 26,
    // A metadata value cannot be understood.
    DDN_STATUS_VALUE = 27,
    // The file is of another version of the format.
    DDN_STATUS_VERSION = 28,
    // A layer cannot be built.
    DDN_STATUS_LAYER = 29,
    // The recorded steps are absent or do not fit the policy.
    DDN_STATUS_RECORDING = 30,
    // The file was made for another contract.
    DDN_STATUS_CONTRACT = 31,
    // The file is wrong in a way that has no code of its own.
    DDN_STATUS_FILE = 47,
    // The memory is too short.
    DDN_STATUS_MEMORY = 48,
    // The scratch is too short.
    DDN_STATUS_SCRATCH = 49,
    // The observation has another length.
    DDN_STATUS_OBS = 50,
    // The mask has another length.
    DDN_STATUS_AVAILABLE = 51,
    // The mask holds a byte other than 0 and 1.
    DDN_STATUS_MASK = 52,
    // The agent or its last action is not below its count.
    DDN_STATUS_INDEX = 53,
    // An observed number is infinite or not a number.
    DDN_STATUS_NOT_FINITE = 54,
    // The mask allows nothing.
    DDN_STATUS_NO_ACTION = 55,
    // No allowed action has a Q-value that is a number. The memory has been advanced and needs a reset.
    DDN_STATUS_NOT_A_NUMBER = 56,
    // The step is wrong in a way that has no code of its own.
    DDN_STATUS_STEP = 63,
    // The file carries no recorded steps.
    DDN_STATUS_NO_RECORD = 64,
    // A Q-value differs from the recorded one.
    DDN_STATUS_SELF_TEST_Q = 65,
    // The Q-values agree with the recorded ones, and the chosen action does not.
    DDN_STATUS_SELF_TEST_ACTION = 66,
    // The file carries no CRC.
    DDN_STATUS_NO_CRC = 67,
    // The bytes of the file are not those that were written.
    DDN_STATUS_CRC = 68,
    // A weight is infinite or not a number.
    DDN_STATUS_WEIGHT = 69,
    // The self-test failed in a way that has no code of its own.
    DDN_STATUS_SELF_TEST = 79,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum DdnStatus DdnStatus;
#else
typedef uint32_t DdnStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Storage for one policy: 4096 bytes where pointers have 32 bits, 8192 where they have 64; aligned as a pointer is.
// Its content is private.
//
// It begins as zeros, as static storage does, or with `= {0}`; then it is not open, and every call says so. It holds
// pointers to the file it was opened from, owns nothing else, and may be forgotten at any time. Do not copy it.
typedef struct {
    size_t private_words[DDN_POLICY_WORDS];
} DdnPolicy;

// The sizes a policy was trained for.
typedef struct {
    // Floats of memory, once per agent.
    size_t memory_len;
    // Floats of scratch, once for all agents that take their steps one after another.
    size_t scratch_len;
    // Floats of one agent's observation.
    size_t obs_dim;
    // Number of actions.
    size_t n_actions;
    // Number of agents.
    size_t n_agents;
    // Steps the file carries to test itself with; 0 if it carries none.
    size_t recorded_steps;
} DdnSizes;

// Text within the file: so many bytes of UTF-8, and no NUL after them.
typedef struct {
    // The first byte.
    const char *start;
    // How many there are; may be 0.
    size_t len;
} DdnText;

// What one agent perceives at one step.
typedef struct {
    // The observation, finite.
    const float *obs;
    // Its length, obs_dim.
    size_t obs_len;
    // One byte for each action: 1 if it may be chosen, else 0.
    const uint8_t *available;
    // Its length, n_actions.
    size_t available_len;
    // Which agent this is, below n_agents.
    uint32_t agent;
    // The agent's previous action, DDN_NO_ACTION at the first step of an episode.
    uint32_t last_action;
} DdnInput;

// What the agent does.
typedef struct {
    // The Q-values of all actions, available or not. They lie in the scratch, until that is used again.
    const float *q;
    // How many there are, n_actions.
    size_t q_len;
    // The chosen action: the available one of the largest Q-value, the lowest among equals.
    uint32_t index;
} DdnAction;

// Storage for recorded steps: 128 bytes where pointers have 32 bits, 256 where they have 64. Else as for DdnPolicy.
typedef struct {
    size_t private_words[DDN_RECORDING_WORDS];
} DdnRecording;

// One recorded step of one agent. The vectors lie in the file.
typedef struct {
    // The observation.
    const float *obs;
    // One number for each action: 1 if it might be chosen, else 0.
    const float *available;
    // The Q-values the policy gave, one for each action.
    const float *q;
    // Length of the observation, obs_dim.
    size_t obs_len;
    // Length of the two others, n_actions.
    size_t n_actions;
    // Which agent.
    uint32_t agent;
    // The previous action. DDN_NO_ACTION begins an episode: the memory is reset before this step.
    uint32_t last_action;
    // The action that was chosen.
    uint32_t action;
} DdnStep;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a policy on the bytes of a model file. Its header is checked; the bytes are used where they are, and not copied.
// The policy acts after ddn_policy_verify, or after ddn_policy_assume_verified.
//
// The handle may be open already, and is closed first. The file begins at an address divisible by four, at best by 16,
// and stays there unchanged until the handle is closed.
//
// Errors: 1 to 7, an argument; 16 to 47 if anything is wrong with the file. The handle is then closed.
DdnStatus ddn_policy_open(DdnPolicy *policy,
                          const uint8_t *file,
                          size_t file_len);

// Closes a policy, so that the file may go away. A handle that is not open stays so.
//
// Errors: 1 to 7, an argument.
DdnStatus ddn_policy_close(DdnPolicy *policy);

// Says what sizes the policy was trained for, in `sizes`.
//
// Errors: 1 to 7, an argument.
DdnStatus ddn_policy_sizes(const DdnPolicy *policy, DdnSizes *sizes);

// Gives the digest of everything a caller must agree with (inputs, actions, layout of the observation), in `text`: 64
// hexadecimal digits, or no byte if the file does not say. A firmware compares it with the one it was written for.
//
// Errors: 1 to 7, an argument; 7 if the digest is written with escapes.
DdnStatus ddn_policy_contract(const DdnPolicy *policy,
                              DdnText *text);

// Gives the name of an action, in `text`. `index` is below n_actions.
//
// Errors: 1 to 7, an argument.
DdnStatus ddn_policy_action_name(const DdnPolicy *policy, uint32_t index, DdnText *text);

// Checks every byte of the file, and replays the steps it carries, comparing every Q-value bit for bit. Then the policy may
// act. `steps` becomes how many there were.
//
// `memory`, `scratch`: as for ddn_policy_act. The memory is reset before and after.
//
// Errors: 1 to 7, an argument; 16 to 79 if the file has no CRC or no recorded steps, or at the first check that fails. The
// policy then may not act, and the memory needs a reset.
DdnStatus ddn_policy_verify(DdnPolicy *policy,
                            float *memory,
                            size_t memory_len,
                            float *scratch,
                            size_t scratch_len,
                            uint32_t *steps);

// Lets the policy act without a check: for a file that was verified before and cannot have changed since.
//
// Errors: 1 to 7, an argument.
DdnStatus ddn_policy_assume_verified(DdnPolicy *policy);

// Forgets an episode: fills the memory of one agent with zeros. To be called before the first step of each episode.
//
// `memory`: at least memory_len floats.
//
// Errors: 1 to 7, an argument; 48.
DdnStatus ddn_policy_reset(const DdnPolicy *policy,
                           float *memory,
                           size_t memory_len);

// The greedy action of one agent, in `action`. To be called once per control step, at the rate of training.
//
// `memory`: at least memory_len floats, the agent's own, advanced by one step. `scratch`: at least scratch_len floats,
// whatever they hold. Neither these two nor the action overlap each other or anything else that is named here.
//
// Calls for different agents may run at the same time on one policy, each with a memory and a scratch of its own.
//
// Errors: 1 to 8, an argument; 48 to 63 if a length or an index is wrong, the observation is not finite, or nothing is
// available. Then nothing has been written, but for 56: no available action has a Q-value that is a number, and the
// memory has been advanced.
DdnStatus ddn_policy_act(const DdnPolicy *policy,
                         float *memory,
                         size_t memory_len,
                         const DdnInput *input,
                         float *scratch,
                         size_t scratch_len,
                         DdnAction *action);

// Opens the recorded steps of a file, for a policy of the same sizes. `steps` becomes how many there are.
//
// `file`: an episode file, or a model file that carries steps; else as for ddn_policy_open. The policy may be closed
// afterwards.
//
// Errors: 1 to 7, an argument; 16 to 47 if anything is wrong with the file. The handle is then closed.
DdnStatus ddn_recording_open(DdnRecording *recording,
                             const DdnPolicy *policy,
                             const uint8_t *file,
                             size_t file_len,
                             uint32_t *steps);

// Closes recorded steps, so that the file may go away. A handle that is not open stays so.
//
// Errors: 1 to 7, an argument.
DdnStatus ddn_recording_close(DdnRecording *recording);

// Gives one recorded step, in `step`. `index` is below the number of steps.
//
// Errors: 1 to 7, an argument.
DdnStatus ddn_recording_step(const DdnRecording *recording, uint32_t index, DdnStep *step);

// The version of the library: `DDN_ABI_VERSION` of the header it was built with. Compare the two once, at the start.
uint32_t ddn_abi_version(void);

// What a status means, in English, ASCII, ending with NUL. The text is a constant; for other numbers it says so.
const char *ddn_status_text(uint32_t status);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DDN_RUNTIME_H */
