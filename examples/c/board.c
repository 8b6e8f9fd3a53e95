#include "board.h"

#include <stddef.h>

/* Places that the linker script knows. */
extern uint32_t data_source[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];

void reset(void);
static void fault(void);

/* The vector table: where the stack begins, where the program begins, and what happens on a fault. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {
    stack_top,
    {reset, fault, fault, fault, fault, fault, NULL, NULL, NULL, NULL, fault, fault, NULL, fault, fault},
};

/* Registers of the processor. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010U)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014U)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018U)
#define CPACR (*(volatile uint32_t *)0xE000ED88U)

/* Operations of semihosting. */
#define SYS_OPEN 0x01U
#define SYS_WRITE 0x05U
#define SYS_EXIT 0x18U
#define MODE_WRITE 4U
#define ADP_STOPPED_APPLICATION_EXIT 0x20026U
#define ADP_STOPPED_RUN_TIME_ERROR 0x20023U

static uint32_t semihost(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void quit(uint32_t reason)
{
    for (;;) {
        (void)semihost(SYS_EXIT, reason);
    }
}

static void fault(void)
{
    quit(ADP_STOPPED_RUN_TIME_ERROR);
}

/* Runs with the floating-point unit off, so it must use no float, and call nothing that may. */
void reset(void)
{
    uint32_t *from = data_source;
    uint32_t *to;

    CPACR |= 0xFU << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (to = data_begin; to < data_end; to++) {
        *to = *from;
        from++;
    }
    for (to = bss_begin; to < bss_end; to++) {
        *to = 0U;
    }
    quit((main() == 0) ? ADP_STOPPED_APPLICATION_EXIT : ADP_STOPPED_RUN_TIME_ERROR);
}

static char line[1024];
static size_t line_len;

static void line_byte(char byte)
{
    if (line_len < sizeof line) {
        line[line_len] = byte;
        line_len++;
    }
}

void line_begin(const char *text)
{
    line_len = 0U;
    line_text(text);
}

void line_text(const char *text)
{
    const char *byte;

    for (byte = text; *byte != '\0'; byte++) {
        line_byte(*byte);
    }
}

void line_number(uint32_t value)
{
    char digits[10];
    size_t used = 0U;
    uint32_t rest = value;

    do {
        digits[used] = (char)('0' + (char)(rest % 10U));
        rest /= 10U;
        used++;
    } while (rest != 0U);
    while (used > 0U) {
        used--;
        line_byte(digits[used]);
    }
}

void line_bits(float value)
{
    union {
        float value;
        uint32_t bits;
    } both;
    uint32_t digit;

    both.value = value;
    for (digit = 8U; digit > 0U; digit--) {
        line_byte("0123456789abcdef"[(both.bits >> (4U * (digit - 1U))) & 15U]);
    }
}

void line_end(void)
{
    static uint32_t out;
    static const char name[] = ":tt";
    uintptr_t arguments[3];

    line_byte('\n');
    if (out == 0U) {
        arguments[0] = (uintptr_t)name;
        arguments[1] = MODE_WRITE;
        arguments[2] = sizeof name - 1U;
        out = semihost(SYS_OPEN, (uintptr_t)arguments);
    }
    arguments[0] = out;
    arguments[1] = (uintptr_t)line;
    arguments[2] = line_len;
    (void)semihost(SYS_WRITE, (uintptr_t)arguments);
}

/* Under qemu-system-arm -icount shift=6 every instruction takes 64 ns of virtual time. The timer of this board runs at
 * 25 MHz, 40 ns a tick, so instructions = ticks * 40 / 64. */
static uint32_t counter_before;
static uint32_t counter_overhead;

void counter_start(void)
{
    SYST_RVR = 0x00FFFFFFU;
    SYST_CVR = 0U;
    SYST_CSR = 5U;
    counter_begin();
    counter_overhead = counter_end();
}

void counter_begin(void)
{
    counter_before = SYST_CVR;
}

uint32_t counter_end(void)
{
    uint32_t ticks = (counter_before - SYST_CVR) & 0x00FFFFFFU;
    uint32_t instructions = (ticks * 10U) / 16U;

    return (instructions > counter_overhead) ? (instructions - counter_overhead) : 0U;
}
