@ The matrix kernels for the ARM1176JZF-S (ARMv6K, VFPv2). arm.rs declares them, portable.rs says in
@ Rust what they compute, ../activations.rs why that is a product, ../pack/ how weights lie.
@
@ Timing (ARM DDI 0301H, chapter 16): one instruction a cycle; SMLAD needs its factors a cycle early
@ and gives its sum after three, to a following SMLAD after two; a shifted operand is needed a cycle
@ early; a loaded word is there after three. So an AND is never followed at once by the SMLAD that
@ takes its result, and two SMLADs into one sum are never neighbours.
@
@ Registers: r0 packed matrix, r1 coefficients, r2/r3 two words of coefficients, r4-r7 a word of each
@ row, r8-r11 a sum for each row, r12 mask, r14 what is masked.

    .syntax unified
    .arm
    .fpu vfpv2
    .text

    @ Job (arm.rs)
    .equ job_packed, 0
    .equ job_coefficients, 4
    .equ job_out, 8
    .equ job_groups, 12
    .equ job_stream, 16
    .equ job_step, 20

    @ The frame of a kernel for one vector: totals of four rows first.
    .equ end, 16
    .equ base, 20
    .equ groups, 24
    .equ out, 28
    .equ stream, 32
    .equ frame, 36

    .macro begin_function name
    .p2align 5
    .globl \name
    .hidden \name
    .type \name, %function
\name:
    .endm

    .macro end_function name
    .size \name, . - \name
    .endm

@ ---- one vector ----

    .macro enter_1
    push {r4-r11, lr}
    sub sp, sp, #frame
    ldr r1, [r0, #job_coefficients]
    ldr r2, [r0, #job_out]
    ldr r3, [r0, #job_groups]
    ldr r4, [r0, #job_stream]
    vldr s8, [r0, #job_step]
    ldr r0, [r0, #job_packed]
    str r1, [sp, #base]
    str r2, [sp, #out]
    str r3, [sp, #groups]
    str r4, [sp, #stream]
    .endm

    @ The totals of the next group are 0, and its blocks end at [sp, #end].
    .macro enter_group_1
    ldr r14, [sp, #stream]
    ldr r1, [sp, #base]
    mov r4, #0
    mov r5, #0
    add r14, r0, r14
    mov r6, #0
    mov r7, #0
    str r14, [sp, #end]
    stmia sp, {r4-r7}
    .endm

    @ Totals as floats, times the factor of their row and the step of the vector.
    .macro leave_group_1 again
    vldmia sp, {s0-s3}
    vldmia r0!, {s4-s7}
    ldr r2, [sp, #out]
    ldr r3, [sp, #groups]
    vcvt.f32.s32 s0, s0
    vcvt.f32.s32 s1, s1
    vcvt.f32.s32 s2, s2
    vcvt.f32.s32 s3, s3
    vmul.f32 s4, s4, s8
    vmul.f32 s5, s5, s8
    vmul.f32 s6, s6, s8
    vmul.f32 s7, s7, s8
    subs r3, r3, #1
    str r3, [sp, #groups]
    vmul.f32 s0, s0, s4
    vmul.f32 s1, s1, s5
    vmul.f32 s2, s2, s6
    vmul.f32 s3, s3, s7
    vstmia r2!, {s0-s3}
    str r2, [sp, #out]
    bne \again
    add sp, sp, #frame
    pop {r4-r11, pc}
    .endm

    @ Sums times scales into totals. The flags say whether this was the last block.
    .macro add_block_1 minima
    ldmia sp, {r4-r7}
    ldrd r2, r3, [r0], #8
    ldr r14, [sp, #end]
    smlawb r4, r8, r2, r4
    smlawt r5, r9, r2, r5
    smlawb r6, r10, r3, r6
    smlawt r7, r11, r3, r7
    .if \minima
    ldrd r2, r3, [r0], #8
    ldr r8, [r1, #-68]          @ the block's sum: 72 bytes of coefficients end at r1
    smlawb r4, r8, r2, r4
    smlawt r5, r8, r2, r5
    smlawb r6, r8, r3, r6
    smlawt r7, r8, r3, r7
    .endif
    cmp r0, r14
    stmia sp, {r4-r7}
    .endm

    @ Four rows of 8 columns, first word: r14 gets what the sums begin with.
    .macro four_first_1
    ldr r14, [r1], #8
    ldrd r2, r3, [r1], #8
    ldrd r4, r5, [r0], #8
    ldrd r6, r7, [r0], #8
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

@ ---- a tile of four vectors ----
@
@ One row at a time: r0 its words, r1 coefficients, r2/r3 and r6/r7 a word of coefficients of two
@ vectors each, r4 or r5 the word, r8-r11 a sum for each vector, r14 and the other of r4 and r5 what
@ is masked. Coefficients are loaded in pairs, each as soon as the one before is used, so that four
@ instructions pass before it is needed.

    @ The frame: totals of four rows, of four vectors each, first.
    .equ t_rows, 64
    .equ t_base, 68
    .equ t_groups, 72
    .equ t_out, 76
    .equ t_stream, 80
    .equ t_end, 84
    .equ t_begin, 88
    .equ t_frame, 92

    .macro enter_4
    push {r4-r11, lr}
    sub sp, sp, #t_frame
    ldr r1, [r0, #job_coefficients]
    ldr r2, [r0, #job_out]
    ldr r3, [r0, #job_groups]
    ldr r4, [r0, #job_stream]
    add r5, r0, #job_step
    vldmia r5, {s8-s11}
    ldr r0, [r0, #job_packed]
    str r1, [sp, #t_base]
    str r2, [sp, #t_out]
    str r3, [sp, #t_groups]
    str r4, [sp, #t_stream]
    .endm

    .macro enter_group_4
    ldr r14, [sp, #t_stream]
    ldr r1, [sp, #t_base]
    mov r4, #0
    mov r5, #0
    add r14, r0, r14
    mov r6, #0
    mov r7, #0
    str r14, [sp, #t_end]
    mov r2, sp
    stmia r2!, {r4-r7}
    stmia r2!, {r4-r7}
    stmia r2!, {r4-r7}
    stmia r2!, {r4-r7}
    .endm

    @ A row's four totals as floats, times its factor, times each vector's step.
    .macro leave_row_4 factor
    vldmia r3!, {s0-s3}
    vmul.f32 s12, s8, \factor
    vmul.f32 s13, s9, \factor
    vmul.f32 s14, s10, \factor
    vmul.f32 s15, s11, \factor
    vcvt.f32.s32 s0, s0
    vcvt.f32.s32 s1, s1
    vcvt.f32.s32 s2, s2
    vcvt.f32.s32 s3, s3
    vmul.f32 s0, s0, s12
    vmul.f32 s1, s1, s13
    vmul.f32 s2, s2, s14
    vmul.f32 s3, s3, s15
    vstmia r2!, {s0-s3}
    .endm

    .macro leave_group_4 again
    vldmia r0!, {s4-s7}
    ldr r2, [sp, #t_out]
    mov r3, sp
    leave_row_4 s4
    leave_row_4 s5
    leave_row_4 s6
    leave_row_4 s7
    ldr r3, [sp, #t_groups]
    str r2, [sp, #t_out]
    subs r3, r3, #1
    str r3, [sp, #t_groups]
    bne \again
    add sp, sp, #t_frame
    pop {r4-r11, pc}
    .endm

    .macro load_first_4
    ldrd r2, r3, [r1], #8
    ldrd r6, r7, [r1], #8
    .endm

    @ What is in \word times a word of each vector; loads the next words unless it is the \last.
    .macro dual_4 word, last
    smlad r8, \word, r2, r8
    smlad r9, \word, r3, r9
    .ifeq \last
    ldrd r2, r3, [r1], #8
    .endif
    smlad r10, \word, r6, r10
    smlad r11, \word, r7, r11
    .ifeq \last
    ldrd r6, r7, [r1], #8
    .endif
    .endm

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
    ldmia r1, {r8-r11}
    add r1, r1, #32
    load_first_4
    four_word_4 r4, r5, 16, 0
    four_word_4 r5, r4, 32, 0
    four_word_4 r4, r5, 48, 0
    four_word_4 r5, r4, 0, 1
    @ The scale of row r lies at 64 + 2r of the block, and r0 is at 4r: so 64 - 2r from here.
    ldr r14, [sp, #t_rows]
    sub r4, r14, sp             @ 16r
    sub r4, r0, r4, lsr #3      @ block + 2r
    ldrsh r2, [r4, #64]
    ldmia r14, {r3, r5, r6, r7}
    smlawb r3, r8, r2, r3
    smlawb r5, r9, r2, r5
    smlawb r6, r10, r2, r6
    smlawb r7, r11, r2, r7
    .if \minima
    ldr r1, [sp, #t_begin]
    ldrsh r2, [r4, #72]
    add r1, r1, #16
    ldmia r1, {r8-r11}
    smlawb r3, r8, r2, r3
    smlawb r5, r9, r2, r5
    smlawb r6, r10, r2, r6
    smlawb r7, r11, r2, r7
    .endif
    stmia r14!, {r3, r5, r6, r7}
    str r14, [sp, #t_rows]
    sub r2, r14, sp
    add r0, r0, #4
    ldr r1, [sp, #t_begin]
    cmp r2, #64
    bne 3b
    @ Four rows done: r0 is at 16 of the block.
    .if \minima
    add r0, r0, #(80 - 16)
    .else
    add r0, r0, #(72 - 16)
    .endif
    ldr r2, [sp, #t_end]
    add r1, r1, #288
    cmp r0, r2
    bne 2b
    leave_group_4 1b
    end_function \name
    .endm

    four_4 ggml_armv6_four_4, 0
    four_4 ggml_armv6_four_min_4, 1

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
    ldr r14, [sp, #t_rows]
    sub r4, r14, sp
    sub r4, r0, r4, lsr #3
    ldrsh r2, [r4, #128]
    ldmia r14, {r3, r5, r6, r7}
    smlawb r3, r8, r2, r3
    smlawb r5, r9, r2, r5
    smlawb r6, r10, r2, r6
    smlawb r7, r11, r2, r7
    stmia r14!, {r3, r5, r6, r7}
    str r14, [sp, #t_rows]
    sub r2, r14, sp
    add r0, r0, #4
    ldr r1, [sp, #t_begin]
    cmp r2, #64
    bne 3b
    add r0, r0, #(136 - 16)
    ldr r2, [sp, #t_end]
    add r1, r1, #256
    cmp r0, r2
    bne 2b
    leave_group_4 1b
    end_function ggml_armv6_eight_4
