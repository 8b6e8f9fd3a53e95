/* The files, as they are, in flash. */
    .syntax unified
    .section .files, "a", %progbits

    .global policy_file
    .balign 16
policy_file:
    .incbin POLICY
policy_file_end:

    .global episodes_file
    .balign 16
episodes_file:
    .incbin EPISODES
episodes_file_end:

    .global policy_file_len
    .balign 4
policy_file_len:
    .word policy_file_end - policy_file

    .global episodes_file_len
episodes_file_len:
    .word episodes_file_end - episodes_file
