/* What the program needs of the board: lines of text for the host, an exit status, a count of instructions.
 * ARM MPS2 with the AN386 image, a Cortex-M4F; text and status go through semihosting. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Begins a line of text. What does not fit is cut off. */
void line_begin(const char *text);
/* Adds text, ending with NUL. */
void line_text(const char *text);
/* Adds a decimal number. */
void line_number(uint32_t value);
/* Adds the bits of a float as eight hexadecimal digits. */
void line_bits(float value);
/* Sends the line. */
void line_end(void);

/* Starts the counter. */
void counter_start(void);
/* Begins to count. */
void counter_begin(void);
/* Instructions since counter_begin, less what counting costs. It wraps after 10.4 million. */
uint32_t counter_end(void);

/* The program; its status is 0 if all is well. Called once, after the start. */
int main(void);

#endif
