@ The kernels for 4 bits a weight: see common.s.

    @ Four rows of 8 columns, first word: r14 gets what the sums begin with.
    .macro four_first_1
    ldrd r4, r5, [r0], #8
    ldrd r2, r3, [r1, #8]
    ldrd r6, r7, [r0], #8
    ldr r14, [r1], #16
    pld [r0, #176]
    smlad r8, r4, r3, r14
    smlad r9, r5, r3, r14
    smlad r10, r6, r3, r14
    smlad r11, r7, r3, r14
    and r14, r12, r4, lsl #11
    and r3, r12, r5, lsl #11
    smlad r8, r14, r2, r8
    and r14, r12, r6, lsl #11
    smlad r9, r3, r2, r9
    and r3, r12, r7, lsl #11
    smlad r10, r14, r2, r10
    smlad r11, r3, r2, r11
    .endm

    @ r4-r5 and r2-r3 are loaded as soon as the word before has done with them.
    .macro four_next_1 ahead
    ldrd r2, r3, [r1], #8
    ldrd r6, r7, [r0], #8
    and r14, r12, r4, lsl #11
    .if \ahead
    pld [r0, #176]
    .endif
    smlad r8, r14, r2, r8
    and r14, r12, r5, lsl #11
    smlad r8, r4, r3, r8
    smlad r9, r14, r2, r9
    and r14, r12, r6, lsl #11
    smlad r9, r5, r3, r9
    smlad r10, r14, r2, r10
    and r14, r12, r7, lsl #11
    smlad r10, r6, r3, r10
    smlad r11, r14, r2, r11
    .endm

    @ The second half of a word. `load` gets the next word of the first two rows.
    .macro four_rest_1 first, load
    .if \first
    ldrd r2, r3, [r1], #8
    and r14, r12, r4, lsl #7
    and r4, r12, r4, lsl #3
    .else
    and r14, r12, r4, lsl #7
    smlad r11, r7, r3, r11
    ldrd r2, r3, [r1], #8
    and r4, r12, r4, lsl #3
    .endif
    smlad r8, r14, r2, r8
    and r14, r12, r5, lsl #7
    smlad r8, r4, r3, r8
    and r5, r12, r5, lsl #3
    smlad r9, r14, r2, r9
    and r14, r12, r6, lsl #7
    smlad r9, r5, r3, r9
    and r6, r12, r6, lsl #3
    smlad r10, r14, r2, r10
    and r14, r12, r7, lsl #7
    smlad r10, r6, r3, r10
    and r7, r12, r7, lsl #3
    smlad r11, r14, r2, r11
    .if \load
    ldrd r4, r5, [r0], #8
    .endif
    smlad r11, r7, r3, r11
    .endm

    .macro four_1 name, minima
    begin_function \name
    enter_1
    mov r12, #0x78000000
    orr r12, r12, #0x7800
1:
    enter_group_1
2:
    four_first_1
    four_rest_1 1, 1
    four_next_1 1
    four_rest_1 0, 1
    four_next_1 0
    four_rest_1 0, 1
    four_next_1 1
    four_rest_1 0, 0
    add_block_1 \minima
    bne 2b
    leave_group_1 1b
    end_function \name
    .endm

    four_1 ggml_armv6_four_1, 0
    four_1 ggml_armv6_four_min_1, 1

    @ 8 columns, in \word. The next ones are loaded into \other from \next, unless it is the \last.
    .macro four_word_4 word, other, next, last
    and \other, r12, \word, lsl #11
    and r14, r12, \word, lsl #7
    dual_4 \word, 0
    and \word, r12, \word, lsl #3
    dual_4 \other, 0
    .ifeq \last
    ldr \other, [r0, #\next]
    .endif
    dual_4 r14, 0
    dual_4 \word, \last
    .endm

    .macro four_4 name, minima
    begin_function \name
    enter_4
    mov r12, #0x78000000
    orr r12, r12, #0x7800
1:
    enter_group_4
2:
    str r1, [sp, #t_begin]
    mov r14, sp
    str r14, [sp, #t_rows]
    pld [r0, #224]
    pld [r0, #256]
    pld [r0, #288]
3:
    ldr r4, [r0]
    ldmia r1!, {r8-r11}
    load_first_4
    four_word_4 r4, r5, 16, 0
    four_word_4 r5, r4, 32, 0
    four_word_4 r4, r5, 48, 0
    four_word_4 r5, r4, 0, 1
    find_row_4
    ldr r14, [sp, #t_rows]
    add_row_4 64, \minima
    bne 3b
    .if \minima
    next_block_4 80, 288
    .else
    next_block_4 72, 288
    .endif
    bne 2b
    leave_group_4 1b
    end_function \name
    .endm

    four_4 ggml_armv6_four_4, 0
    four_4 ggml_armv6_four_min_4, 1
