@ The kernels for 8 bits a weight: see common.s.

    @ Four rows of 4 columns: r2 has c_0, r3 has a_1.
    .macro eight_word_1 first, load, ahead
    .if \first
    ldrd r4, r5, [r0], #8
    .endif
    ldrd r2, r3, [r1], #8
    ldrd r6, r7, [r0], #8
    .if \ahead
    pld [r0, #176]
    .endif
    and r14, r12, r4, lsl #8
    .if \first
    smuad r8, r4, r3
    smuad r9, r5, r3
    .else
    smlad r8, r4, r3, r8
    smlad r9, r5, r3, r9
    .endif
    smlad r8, r14, r2, r8
    and r14, r12, r5, lsl #8
    .if \first
    smuad r10, r6, r3
    .else
    smlad r10, r6, r3, r10
    .endif
    smlad r9, r14, r2, r9
    and r14, r12, r6, lsl #8
    .if \first
    smuad r11, r7, r3
    .else
    smlad r11, r7, r3, r11
    .endif
    smlad r10, r14, r2, r10
    and r14, r12, r7, lsl #8
    .if \load
    ldrd r4, r5, [r0], #8
    .endif
    smlad r11, r14, r2, r11
    .endm

    begin_function ggml_armv6_eight_1
    enter_1
    mov r12, #0xFF000000
    orr r12, r12, #0xFF00
1:
    enter_group_1
2:
    eight_word_1 1, 1, 1
    eight_word_1 0, 1, 0
    eight_word_1 0, 1, 1
    eight_word_1 0, 1, 0
    eight_word_1 0, 1, 1
    eight_word_1 0, 1, 0
    eight_word_1 0, 1, 1
    eight_word_1 0, 0, 1
    add_block_1 0
    bne 2b
    leave_group_1 1b
    end_function ggml_armv6_eight_1

    @ 4 columns, in \word; as four_word_4.
    .macro eight_word_4 first, word, other, next, last
    and r14, r12, \word, lsl #8
    .if \first
    smuad r8, \word, r2
    smuad r9, \word, r3
    ldrd r2, r3, [r1], #8
    smuad r10, \word, r6
    smuad r11, \word, r7
    ldrd r6, r7, [r1], #8
    .else
    dual_4 \word, 0
    .endif
    .ifeq \last
    ldr \other, [r0, #\next]
    .endif
    dual_4 r14, \last
    .endm

    begin_function ggml_armv6_eight_4
    enter_4
    mov r12, #0xFF000000
    orr r12, r12, #0xFF00
1:
    enter_group_4
2:
    str r1, [sp, #t_begin]
    mov r14, sp
    str r14, [sp, #t_rows]
    pld [r0, #288]
    pld [r0, #320]
    pld [r0, #352]
    pld [r0, #384]
3:
    ldr r4, [r0]
    load_first_4
    eight_word_4 1, r4, r5, 16, 0
    eight_word_4 0, r5, r4, 32, 0
    eight_word_4 0, r4, r5, 48, 0
    eight_word_4 0, r5, r4, 64, 0
    eight_word_4 0, r4, r5, 80, 0
    eight_word_4 0, r5, r4, 96, 0
    eight_word_4 0, r4, r5, 112, 0
    eight_word_4 0, r5, r4, 0, 1
    find_row_4
    ldr r14, [sp, #t_rows]
    add_row_4 128, 0
    bne 3b
    next_block_4 136, 256
    bne 2b
    leave_group_4 1b
    end_function ggml_armv6_eight_4
