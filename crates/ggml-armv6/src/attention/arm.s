@ The loops of attention. What they do, and which register holds what: arm.rs.

    .syntax unified
    .arm
    .fpu vfpv2
    .text

@ Saves what a caller keeps, and sets vectors of four, flush to zero, the default NaN and no traps:
@ with the last three the unit never asks the kernel for help.
@ Leaves the argument of the function, and what FPSCR was, on the stack.
.macro attention_enter
    push    {r4-r11, lr}
    vpush   {d8-d15}
    vmrs    r1, fpscr
    bic     r2, r1, #0x00370000
    bic     r2, r2, #0x00009f00
    orr     r2, r2, #0x00030000
    orr     r2, r2, #0x03000000
    vmsr    fpscr, r2
    push    {r0, r1}
.endm

.macro attention_leave
    pop     {r0, r1}
    vmsr    fpscr, r1
    vpop    {d8-d15}
    pop     {r4-r11, pc}
.endm

@ Query \i: its sums += X or Y times its factor.
.macro attention_x n, i
    .if \n > \i
    .if \i == 0
    vmla.f32 s8, s24, s0
    .elseif \i == 1
    vmla.f32 s12, s24, s1
    .elseif \i == 2
    vmla.f32 s16, s24, s2
    .else
    vmla.f32 s20, s24, s3
    .endif
    .endif
.endm

.macro attention_y n, i
    .if \n > \i
    .if \i == 0
    vmla.f32 s8, s28, s4
    .elseif \i == 1
    vmla.f32 s12, s28, s5
    .elseif \i == 2
    vmla.f32 s16, s28, s6
    .else
    vmla.f32 s20, s28, s7
    .endif
    .endif
.endm

@ The factors of all queries for X and for Y.
.macro attention_factors_x n
    .if \n == 1
    vldmia  r3!, {s0}
    .elseif \n == 2
    vldmia  r3!, {s0-s1}
    .elseif \n == 3
    vldmia  r3!, {s0-s2}
    .else
    vldmia  r3!, {s0-s3}
    .endif
.endm

.macro attention_factors_y n
    .if \n == 1
    vldmia  r3!, {s4}
    .elseif \n == 2
    vldmia  r3!, {s4-s5}
    .elseif \n == 3
    vldmia  r3!, {s4-s6}
    .else
    vldmia  r3!, {s4-s7}
    .endif
.endm

@ All sums, with an instruction that takes a list of registers.
.macro attention_sums n, instruction, base
    .if \n == 1
    \instruction \base, {s8-s11}
    .elseif \n == 2
    \instruction \base, {s8-s15}
    .elseif \n == 3
    \instruction \base, {s8-s19}
    .else
    \instruction \base, {s8-s23}
    .endif
.endm

@ Scores. The vectors are four cells; X and Y are elements of their keys.
@ r0 and r1: the first and the third cell; r2: bytes from cell to cell; r3: queries.
@ r4, r5 and r6, r7: four elements of the first and the second cell; r8, r9: two of the others.

@ X from the low halves of \a, \b (first and second cell), r8 and r9.
.macro attention_low a, b, n, multiply
    mov     r10, \a, lsl #16
    mov     r11, \b, lsl #16
    and     r10, r12, r10, asr #3
    and     r11, r12, r11, asr #3
    .if \multiply
    attention_y \n, 0
    .endif
    vmov    s24, s25, r10, r11
    attention_factors_x \n
    mov     r10, r8, lsl #16
    .if \multiply
    attention_y \n, 1
    .endif
    mov     r11, r9, lsl #16
    and     r10, r12, r10, asr #3
    and     r11, r12, r11, asr #3
    vmov    s26, s27, r10, r11
    .if \multiply
    attention_y \n, 2
    attention_y \n, 3
    .endif
.endm

@ Four elements. \ahead: what to fetch of the next group; \next: whether there are four more.
.macro attention_quad n, ahead, next
    and     r4, r12, r4, asr #3
    and     r6, r12, r6, asr #3
    and     r8, r12, r8, asr #3
    and     r9, r12, r9, asr #3
    attention_x \n, 0
    vmov    s28, s29, r4, r6
    attention_factors_y \n
    vmov    s30, s31, r8, r9
    attention_x \n, 1
    ldr     r9, [r1, r2]
    ldr     r8, [r1], #4
    .if \ahead == 1
    pld     [r0, r2, lsl #2]
    add     r10, r0, r2
    .elseif \ahead == 2
    add     r10, r1, r2
    pld     [r1, r2, lsl #2]
    .endif
    attention_x \n, 2
    .if \ahead
    pld     [r10, r2, lsl #2]
    .endif
    attention_x \n, 3

    attention_low r5, r7, \n, 1

    and     r5, r12, r5, asr #3
    and     r7, r12, r7, asr #3
    and     r8, r12, r8, asr #3
    and     r9, r12, r9, asr #3
    attention_x \n, 0
    vmov    s28, s29, r5, r7
    attention_factors_y \n
    vmov    s30, s31, r8, r9
    attention_x \n, 1
    .if \next
    ldrd    r6, r7, [r0, r2]
    ldrd    r4, r5, [r0], #8
    ldr     r9, [r1, r2]
    attention_x \n, 2
    ldr     r8, [r1], #4
    attention_x \n, 3
    attention_low r4, r6, \n, 1
    .else
    attention_x \n, 2
    attention_x \n, 3
    attention_y \n, 0
    attention_y \n, 1
    attention_y \n, 2
    attention_y \n, 3
    .endif
.endm

.macro attention_scores n, name
    .globl  \name
    .hidden \name
    .hidden \name
    .type   \name, %function
    .p2align 3
\name:
    attention_enter
1:  @ A group of four cells.
    ldr     r11, [sp]
    ldr     r0, [r11]
    ldr     r2, [r11, #4]
    ldr     r3, [r11, #8]
    ldr     lr, [r11, #16]
    add     r1, r0, r2, lsl #2
    ldr     r12, [r11, #28]
    str     r1, [r11]
    add     r1, r0, r2, lsl #1
    ldrd    r6, r7, [r0, r2]
    mov     r10, #0
    ldrd    r4, r5, [r0], #8
    vmov    s4, r10
    ldr     r9, [r1, r2]
    ldr     r8, [r1], #4
    vmov.f32 s8, s4
    .if \n > 1
    vmov.f32 s12, s4
    .endif
    .if \n > 2
    vmov.f32 s16, s4
    .endif
    .if \n > 3
    vmov.f32 s20, s4
    .endif
    attention_low r4, r6, \n, 0
    subs    lr, lr, #1
    beq     3f
2:  @ Sixteen elements.
    attention_quad \n, 1, 1
    attention_quad \n, 2, 1
    attention_quad \n, 0, 1
    attention_quad \n, 0, 1
    subs    lr, lr, #1
    bne     2b
3:  @ The last sixteen.
    attention_quad \n, 1, 1
    attention_quad \n, 2, 1
    attention_quad \n, 0, 1
    attention_quad \n, 0, 0

    ldr     r11, [sp]
    vldr    s0, [r11, #24]
    ldr     r4, [r11, #20]
    ldr     r5, [r11, #12]
    subs    r4, r4, #1
    str     r4, [r11, #20]
    vmul.f32 s8, s8, s0
    .if \n > 1
    vmul.f32 s12, s12, s0
    .endif
    .if \n > 2
    vmul.f32 s16, s16, s0
    .endif
    .if \n > 3
    vmul.f32 s20, s20, s0
    .endif
    attention_sums \n, vstmia, r5!
    str     r5, [r11, #12]
    bne     1b
    attention_leave
    .size   \name, . - \name
.endm

@ Values. The vectors are four columns; X and Y are cells.
@ r0: the next cell to read; r1: sums; r2: bytes from cell to cell; r3: weights; r10: from r0 to
@ what to fetch; r11: the argument. r4, r5 become X, r6, r7 become Y.

@ \load: whether there is a cell after the next; \next: whether there is a next.
.macro attention_even_cell n, load, next
    .if \next
    mov     r8, r6, lsl #16
    mov     r9, r7, lsl #16
    and     r6, r12, r6, asr #3
    and     r8, r12, r8, asr #3
    attention_x \n, 0
    and     r9, r12, r9, asr #3
    and     r7, r12, r7, asr #3
    vmov    s28, s29, r8, r6
    attention_factors_y \n
    attention_x \n, 1
    .if \load
    ldrd    r4, r5, [r0], r2
    .endif
    vmov    s30, s31, r9, r7
    attention_x \n, 2
    attention_x \n, 3
    .endif
.endm

.macro attention_odd_cell n, load, next
    .if \next
    mov     r8, r4, lsl #16
    mov     r9, r5, lsl #16
    and     r4, r12, r4, asr #3
    and     r8, r12, r8, asr #3
    attention_y \n, 0
    and     r9, r12, r9, asr #3
    and     r5, r12, r5, asr #3
    vmov    s24, s25, r8, r4
    attention_factors_x \n
    attention_y \n, 1
    .if \load
    ldrd    r6, r7, [r0], r2
    .endif
    vmov    s26, s27, r9, r5
    attention_y \n, 2
    attention_y \n, 3
    .else
    attention_y \n, 0
    attention_y \n, 1
    attention_y \n, 2
    attention_y \n, 3
    .endif
.endm

.macro attention_values n, name
    .globl  \name
    .hidden \name
    .hidden \name
    .type   \name, %function
    .p2align 3
\name:
    attention_enter
    mov     r11, r0
    ldr     r1, [r11, #4]
    ldr     r2, [r11, #8]
    ldr     r12, [r11, #28]
1:  @ A line of sixteen columns.
    ldr     r4, [r11, #20]
    mov     r10, #32
    mov     r5, #4
    subs    r4, r4, #1
    str     r5, [sp]
    str     r4, [r11, #20]
    ldreq   r10, [r11, #24]
    @ Each of the four groups of columns fetches for one cell in four. r10 is taken when r0 is at
    @ the third cell.
    sub     r10, r10, r2, lsl #1
2:  @ A group of four columns.
    ldr     r0, [r11]
    ldr     r3, [r11, #12]
    ldr     lr, [r11, #16]
    add     r9, r0, #8
    ldrd    r4, r5, [r0], r2
    ldrd    r6, r7, [r0], r2
    attention_sums \n, vldmia, r1
    str     r9, [r11]
    mov     r8, r4, lsl #16
    attention_factors_x \n
    and     r4, r12, r4, asr #3
    mov     r9, r5, lsl #16
    and     r8, r12, r8, asr #3
    and     r5, r12, r5, asr #3
    and     r9, r12, r9, asr #3
    vmov    s24, s25, r8, r4
    vmov    s26, s27, r9, r5
    subs    lr, lr, #1
    beq     4f
3:  @ Four cells.
    pld     [r0, r10]
    attention_even_cell \n, 1, 1
    attention_odd_cell \n, 1, 1
    attention_even_cell \n, 1, 1
    attention_odd_cell \n, 1, 1
    subs    lr, lr, #1
    bne     3b
4:  @ The last four.
    pld     [r0, r10]
    attention_even_cell \n, 1, 1
    attention_odd_cell \n, 1, 1
    attention_even_cell \n, 0, 1
    attention_odd_cell \n, 0, 0

    add     r10, r10, r2
    sub     r10, r10, #8
    attention_sums \n, vstmia, r1!
    ldr     r4, [sp]
    subs    r4, r4, #1
    str     r4, [sp]
    bne     2b
    ldr     r4, [r11, #20]
    cmp     r4, #0
    bne     1b
    attention_leave
    .size   \name, . - \name
.endm

@ The largest of the scores of a query.
@ r0: scores; r1: their groups; r2: bytes from group to group; r3: the bits to start with.
    .globl  ggml_armv6_attention_largest
    .hidden ggml_armv6_attention_largest
    .hidden ggml_armv6_attention_largest
    .type   ggml_armv6_attention_largest, %function
    .p2align 3
ggml_armv6_attention_largest:
    push    {r4-r8, lr}
    mov     r8, r0
    mov     lr, r1
    mov     r12, r3
1:  @ By bits as signed integers: right where one is positive.
    ldm     r0, {r4-r7}
    add     r0, r0, r2
    cmp     r4, r12
    movgt   r12, r4
    cmp     r5, r12
    movgt   r12, r5
    cmp     r6, r12
    movgt   r12, r6
    cmp     r7, r12
    movgt   r12, r7
    subs    lr, lr, #1
    bne     1b
    cmp     r12, #0
    bge     3f
    mov     r12, r3
2:  @ All are negative: the least of the bits.
    ldm     r8, {r4-r7}
    add     r8, r8, r2
    cmp     r4, r12
    movlo   r12, r4
    cmp     r5, r12
    movlo   r12, r5
    cmp     r6, r12
    movlo   r12, r6
    cmp     r7, r12
    movlo   r12, r7
    subs    r1, r1, #1
    bne     2b
3:
    mov     r0, r12
    pop     {r4-r8, pc}
    .size   ggml_armv6_attention_largest, . - ggml_armv6_attention_largest

@ Weights. The vectors are the scores of four cells for one query.
@ r0: scores; r1: weights; r2, r3: bytes from one to the next; r12: the lowest exponent.
@ s0: the largest score; s1: the magic number; s2 to s7: the series; s24: sums.
    .globl  ggml_armv6_attention_weights
    .hidden ggml_armv6_attention_weights
    .hidden ggml_armv6_attention_weights
    .type   ggml_armv6_attention_weights, %function
    .p2align 3
ggml_armv6_attention_weights:
    attention_enter
    ldr     r2, [r0, #8]
    ldr     r3, [r0, #12]
    ldr     r12, [r0, #24]
    add     r4, r0, #36
    vldmia  r4, {s1-s7}
1:  @ A query.
    ldr     r11, [sp]
    ldr     r0, [r11]
    ldr     r1, [r11, #4]
    ldr     lr, [r11, #16]
    ldr     r4, [r11, #28]
    ldr     r5, [r11, #32]
    add     r6, r0, #16
    add     r7, r1, #4
    vldmia  r4!, {s0}
    vldmia  r5, {s24-s27}
    str     r6, [r11]
    str     r7, [r11, #4]
    str     r4, [r11, #28]
2:  @ Four scores.
    vldmia  r0, {s8-s11}
    add     r0, r0, r2
    vsub.f32 s8, s8, s0
    @ s8: exponents.
    vadd.f32 s12, s8, s1
    vmov    r4, r5, s8, s9
    vmov    r6, r7, s10, s11
    vsub.f32 s20, s12, s1
    cmp     r12, r4, lsl #1
    cmphs   r12, r5, lsl #1
    vmov.f32 s16, s3
    cmphs   r12, r6, lsl #1
    cmphs   r12, r7, lsl #1
    vsub.f32 s28, s8, s20
    blo     4f
3:  @ s28: what is left of the exponents, at most 1/2; s16: the second term.
    vmla.f32 s16, s28, s2
    vmov.f32 s20, s4
    vmla.f32 s20, s28, s16
    vmov.f32 s16, s5
    vmla.f32 s16, s28, s20
    vmov.f32 s20, s6
    vmla.f32 s20, s28, s16
    vmov.f32 s16, s7
    vmla.f32 s16, s28, s20
    vmov    r4, r5, s12, s13
    vmov    r6, r7, s14, s15
    vmov    r8, r9, s16, s17
    vmov    r10, r11, s18, s19
    add     r8, r8, r4, lsl #23
    add     r9, r9, r5, lsl #23
    add     r10, r10, r6, lsl #23
    add     r11, r11, r7, lsl #23
    vmov    s16, s17, r8, r9
    vmov    s18, s19, r10, r11
    str     r8, [r1], r3
    str     r9, [r1], r3
    str     r10, [r1], r3
    str     r11, [r1], r3
    vadd.f32 s24, s24, s16
    subs    lr, lr, #1
    bne     2b

    ldr     r11, [sp]
    ldr     r5, [r11, #32]
    ldr     r4, [r11, #20]
    vstmia  r5!, {s24-s27}
    subs    r4, r4, #1
    str     r5, [r11, #32]
    str     r4, [r11, #20]
    bne     1b
    attention_leave
4:  @ Some exponent is too low or not a number: the low ones, -infinity among them, become the
    @ lowest, the others stay, and the four start again.
    mov     r8, #0x80000000
    orr     r8, r8, r12, lsr #1
    .irp    exponent, r4, r5, r6, r7
    mov     r9, \exponent, lsl #1
    cmp     r9, #0xff000000
    cmpls   r12, r9
    movlo   \exponent, r8
    .endr
    vmov    s8, s9, r4, r5
    vmov    s10, s11, r6, r7
    vadd.f32 s12, s8, s1
    vsub.f32 s20, s12, s1
    vsub.f32 s28, s8, s20
    b       3b
    .size   ggml_armv6_attention_weights, . - ggml_armv6_attention_weights

    attention_scores 1, ggml_armv6_attention_scores_1
    attention_scores 2, ggml_armv6_attention_scores_2
    attention_scores 3, ggml_armv6_attention_scores_3
    attention_scores 4, ggml_armv6_attention_scores_4
    attention_values 1, ggml_armv6_attention_values_1
    attention_values 2, ggml_armv6_attention_values_2
    attention_values 3, ggml_armv6_attention_values_3
    attention_values 4, ggml_armv6_attention_values_4
