@ The kernels for 5 bits a weight: see common.s. A half of a word has three columns, at its bits 0,
@ 5 and 11; two columns of each row are left over, at bits 0 and 11 of a half.

@ ---- one vector ----

    @ Coefficients are loaded in pairs, and a word of weights needs three: so words come in two
    @ kinds. For an even one r2 has a_2 and r3 c_0, then r2 c_1; for an odd one, which follows, r3
    @ has a_2 by then, then r2 c_0 and r3 c_1.

    @ The first word, but for its second field: r14 gets what the sums begin with.
    .macro five_first_1
    ldrd r4, r5, [r0], #8
    ldrd r2, r3, [r1, #8]
    ldrd r6, r7, [r0], #8
    ldr r14, [r1], #16
    pld [r0, #176]
    smlad r8, r4, r2, r14
    smlad r9, r5, r2, r14
    smlad r10, r6, r2, r14
    smlad r11, r7, r2, r14
    and r14, r12, r4, lsl #10
    and r2, r12, r5, lsl #10
    smlad r8, r14, r3, r8
    and r14, r12, r6, lsl #10
    smlad r9, r2, r3, r9
    and r2, r12, r7, lsl #10
    smlad r10, r14, r3, r10
    and r4, r12, r4, lsl #5
    smlad r11, r2, r3, r11
    .endm

    @ Another even word, but for its second field.
    .macro five_even_1
    ldrd r2, r3, [r1], #8
    ldrd r6, r7, [r0], #8
    and r14, r12, r4, lsl #10
    pld [r0, #176]
    smlad r8, r4, r2, r8
    smlad r9, r5, r2, r9
    smlad r8, r14, r3, r8
    and r14, r12, r5, lsl #10
    smlad r10, r6, r2, r10
    smlad r9, r14, r3, r9
    and r14, r12, r6, lsl #10
    smlad r11, r7, r2, r11
    smlad r10, r14, r3, r10
    and r14, r12, r7, lsl #10
    and r4, r12, r4, lsl #5
    smlad r11, r14, r3, r11
    .endm

    @ The second field of an even word. Loads the next word of the first two rows, or what is left
    @ over of all.
    .macro five_second_1
    ldrd r2, r3, [r1], #8
    and r5, r12, r5, lsl #5
    and r6, r12, r6, lsl #5
    and r7, r12, r7, lsl #5
    smlad r8, r4, r2, r8
    smlad r9, r5, r2, r9
    ldrd r4, r5, [r0], #8
    smlad r10, r6, r2, r10
    smlad r11, r7, r2, r11
    .endm

    .macro five_odd_1 ahead
    ldrd r6, r7, [r0], #8
    smlad r8, r4, r3, r8
    smlad r9, r5, r3, r9
    and r14, r12, r4, lsl #10
    smlad r10, r6, r3, r10
    smlad r11, r7, r3, r11
    ldrd r2, r3, [r1], #8
    and r4, r12, r4, lsl #5
    .if \ahead
    pld [r0, #\ahead]
    .endif
    smlad r8, r14, r2, r8
    and r14, r12, r5, lsl #10
    smlad r8, r4, r3, r8
    and r5, r12, r5, lsl #5
    smlad r9, r14, r2, r9
    and r14, r12, r6, lsl #10
    smlad r9, r5, r3, r9
    and r6, r12, r6, lsl #5
    smlad r10, r14, r2, r10
    and r14, r12, r7, lsl #10
    smlad r10, r6, r3, r10
    and r7, r12, r7, lsl #5
    smlad r11, r14, r2, r11
    ldrd r4, r5, [r0], #8
    smlad r11, r7, r3, r11
    .endm

    @ What is left over: the halves of r4 and r5 are rows, those of r3 c_0 and a_2.
    .macro five_left_1
    and r14, r12, r4, lsl #10
    smlabt r8, r4, r3, r8
    smlatt r9, r4, r3, r9
    and r2, r12, r5, lsl #10
    smlabb r8, r14, r3, r8
    smlatb r9, r14, r3, r9
    smlabt r10, r5, r3, r10
    smlatt r11, r5, r3, r11
    smlabb r10, r2, r3, r10
    smlatb r11, r2, r3, r11
    .endm

    @ A block is three lines, and a quarter more with minima.
    .macro five_1 name, minima
    begin_function \name
    enter_1
    mov r12, #0x7C000000
    orr r12, r12, #0x7C00
1:
    enter_group_1
2:
    five_first_1
    five_second_1
    five_odd_1 0
    five_even_1
    five_second_1
    .if \minima
    five_odd_1 (176 + 40)
    .else
    five_odd_1 0
    .endif
    five_even_1
    five_second_1
    five_left_1
    add_block_1 \minima
    bne 2b
    leave_group_1 1b
    end_function \name
    .endm

    five_1 ggml_armv6_five_1, 0
    five_1 ggml_armv6_five_min_1, 1

@ ---- a tile of four vectors ----

    @ 6 columns, in r4, but for their second field, which is in r5 then; r4 can be loaded.
    .macro five_word_4
    and r14, r12, r4, lsl #10
    and r5, r12, r4, lsl #5
    dual_4 r4, 0
    .endm

    .macro five_4 name, minima
    begin_function \name
    enter_4
    mov r12, #0x7C000000
    orr r12, r12, #0x7C00
1:
    enter_group_4
2:
    str r1, [sp, #t_begin]
    mov r14, sp
    str r14, [sp, #t_rows]
    pld [r0, #256]
    pld [r0, #288]
    pld [r0, #320]
    .if \minima
    pld [r0, #352]
    .endif
3:
    ldr r4, [r0]
    ldmia r1!, {r8-r11}
    load_first_4
    .irp next, 16, 32, 48, 64
    five_word_4
    ldr r4, [r0, #\next]
    dual_4 r14, 0
    dual_4 r5, 0
    .endr
    five_word_4
    dual_4 r14, 0
    find_row_4
    ldrh r14, [r4, #80]
    dual_4 r5, 0
    and r5, r12, r14, lsl #10
    pkhbt r5, r5, r14, lsl #16  @ c_0 is in the lower half of a word, a_2 in the upper one
    ldr r14, [sp, #t_rows]
    dual_4 r5, 1
    add_row_4 88, \minima
    bne 3b
    .if \minima
    next_block_4 104, 288
    .else
    next_block_4 96, 288
    .endif
    bne 2b
    leave_group_4 1b
    end_function \name
    .endm

    five_4 ggml_armv6_five_4, 0
    five_4 ggml_armv6_five_min_4, 1
