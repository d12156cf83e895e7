@ The matrix kernels for the ARM1176JZF-S (ARMv6K, VFPv2): what those for all formats begin and end
@ with. ../arm.rs declares them, ../portable.rs says in Rust what they compute, ../../activations.rs
@ why that is a product, ../../pack/ how weights lie. four.s, five.s and eight.s follow this file.
@
@ Timing (ARM DDI 0301H, chapter 16): one instruction a cycle; SMLAD needs its factors a cycle early
@ and gives its sum after three, to a following SMLAD after two; a shifted operand is needed a cycle
@ early; a loaded word is there after three. So an AND is never followed at once by the SMLAD that
@ takes its result, and two SMLADs into one sum are never neighbours.
@
@ Registers: r0 packed matrix, r1 coefficients, r2/r3 two words of coefficients, r4-r7 a word of
@ each row, r8-r11 a sum for each row, r12 mask, r14 what is masked.

    .syntax unified
    .arm
    .fpu vfpv2
    .text

    @ Job (../arm.rs)
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

    @ Into r4 the address that 16-bit values of row r are at a distance from, 2r after the block's:
    @ r0 is at 4r. Row r's totals are 16r after sp, at what is in [sp, #t_rows].
    .macro find_row_4
    ldr r4, [sp, #t_rows]
    sub r4, r4, sp
    sub r4, r0, r4, lsr #3
    .endm

    @ A row's four sums times its scale into its totals, at r14; then the next row's place in r0,
    @ and the flags say whether this was the last one. r4 is as find_row_4 leaves it. The sums of
    @ the vectors' blocks, for minima, are the last 16 of 288 bytes of coefficients.
    .macro add_row_4 scales, minima
    ldrsh r2, [r4, #\scales]
    ldmia r14, {r3, r5, r6, r7}
    smlawb r3, r8, r2, r3
    smlawb r5, r9, r2, r5
    smlawb r6, r10, r2, r6
    smlawb r7, r11, r2, r7
    .if \minima
    ldr r1, [sp, #t_begin]
    ldrsh r2, [r4, #(\scales + 8)]
    add r1, r1, #272
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
    .endm

    @ The next block, of so many bytes and coefficients: r0 is at 16 of this one.
    .macro next_block_4 bytes, coefficients
    add r0, r0, #(\bytes - 16)
    ldr r2, [sp, #t_end]
    add r1, r1, #\coefficients
    cmp r0, r2
    .endm
