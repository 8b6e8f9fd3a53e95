//! The loops of a Cortex-M55 with its vector unit, an instruction for what the compiler takes several for: a sum of eight
//! products, the upper half of four products, four looked up in a table.
//!
//! `unsafe` because instructions are written by hand: two loops over memory whose bounds are checked before them. Each is
//! a function that is called, as what it does to the vector predicate cannot be told to the compiler otherwise.
#![allow(unsafe_code)]

use core::arch::asm;

use super::super::table::TANH;

/// What [`add`](super::super::dot_i8::Weights::add) does, for `rows` that stand one after another.
#[inline(never)]
pub(in super::super) fn add(rows: &[i8], x: &[f32], scale: &[i32], sums: &mut [i32]) {
    let width = 8 * (x.len() / 4);
    let blocks = (scale.len() / 4).min(sums.len() / 4);
    if width == 0 || blocks == 0 || rows.len() / (4 * width) < blocks {
        return;
    }
    // SAFETY: there is at least one block, and at least one group of eight columns. For each block the loop reads four rows
    // of `width` bytes, which follow the four before, and four words of `scale`; it reads `width` int16 of `x` each time; it
    // changes four words of `sums`. All of them are inside the slices by the check above. Words are aligned, and so are the
    // int16, which lie in words. r6 and r7 cannot be operands; they are saved and restored.
    unsafe {
        asm!(
            "push {{r6, r7}}",
            "mov r6, r0",
            "2:",
            // The first eight columns, where the sums begin and the rows are found.
            "vldrh.u16 q0, [r10]",
            "vldrb.s16 q1, [r1], #8",
            "add r3, r1, r12",
            "vmladav.s16 r0, q0, q1",
            "vldrb.s16 q1, [r3], #8",
            "add r5, r3, r12",
            "vmladav.s16 r2, q0, q1",
            "vldrb.s16 q1, [r5], #8",
            "add r7, r5, r12",
            "vmladav.s16 r4, q0, q1",
            "vldrb.s16 q1, [r7], #8",
            "vmladav.s16 r8, q0, q1",
            // The others.
            "wlstp.16 lr, r12, 4f",
            "3:",
            "vldrh.u16 q0, [r10, #16]!",
            "vldrb.s16 q1, [r1], #8",
            "vmladava.s16 r0, q0, q1",
            "vldrb.s16 q1, [r3], #8",
            "vmladava.s16 r2, q0, q1",
            "vldrb.s16 q1, [r5], #8",
            "vmladava.s16 r4, q0, q1",
            "vldrb.s16 q1, [r7], #8",
            "vmladava.s16 r8, q0, q1",
            "letp lr, 3b",
            "4:",
            "sub r10, r10, r12, lsl #1",
            "mov r1, r7",
            "vmov q0[2], q0[0], r0, r4",
            "vmov q0[3], q0[1], r2, r8",
            "vldrw.u32 q1, [r11], #16",
            "vrmulh.s32 q0, q0, q1",
            "vldrw.u32 q1, [r6]",
            "vadd.i32 q0, q0, q1",
            "vstrw.32 q0, [r6], #16",
            "subs r9, r9, #1",
            "bne 2b",
            "pop {{r6, r7}}",
            inout("r0") sums.as_mut_ptr() => _,
            inout("r1") rows.as_ptr() => _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            out("r8") _,
            inout("r9") blocks => _,
            inout("r10") x.as_ptr() => _,
            inout("r11") scale.as_ptr() => _,
            in("r12") width - 8,
            out("lr") _,
            out("q0") _,
            out("q1") _,
        );
    }
}

/// q1 = tanh of q0, looked up in `TANH` between two of its elements; `shift` makes a step of the table of a unit of q0.
macro_rules! looked_up {
    ($shift:literal) => {
        concat!(
            "vabs.s32 q1, q0\n",
            "vqshl.u32 q1, q1, ",
            $shift,
            "\n",
            "vshr.u32 q2, q1, #24\n",
            "vldrh.u32 q3, [{low}, q2, uxtw #1]\n",
            "vldrh.u32 q4, [{high}, q2, uxtw #1]\n",
            "vshl.i32 q1, q1, #8\n",
            "vsub.i32 q4, q4, q3\n",
            "vrmulh.u32 q1, q1, q4\n",
            "vadd.i32 q1, q1, q3\n",
            "vpt.s32 lt, q0, zr\n",
            "vnegt.s32 q1, q1",
        )
    };
}

/// What [`gates`](super::super::gru_i8) does, for units in multiples of four.
#[inline(never)]
pub(in super::super) fn gates([reset, update, input, state]: [&[i32]; 4], old: &[i16], output: &mut [i16]) {
    let units =
        [reset, update, input, state].iter().fold(old.len().min(output.len()), |n, sums| n.min(sums.len()));
    let groups = units / 4;
    if groups == 0 {
        return;
    }
    // SAFETY: there is at least one group; the loop reads four words of each sum and four int16 of `old` for a group, and
    // writes four int16 of `output`, all of them inside the slices. What is looked up has an index from 0 to 255: the upper
    // eight bits of a word; `TANH` and what follows its first element have 256 elements at least.
    //
    // A magnitude in units of one step of the table, above eight bits saturated, has its whole part in the upper eight bits
    // and its fraction in the others.
    unsafe {
        asm!(
            "dls lr, {groups}",
            "2:",
            // z, in units of 2^-15.
            "vldrw.u32 q0, [{update}], #16",
            looked_up!("#15"),
            "vhadd.s32 q5, q1, {half}",
            // r, in units of 2^-31.
            "vldrw.u32 q0, [{reset}], #16",
            looked_up!("#15"),
            "vhadd.s32 q1, q1, {half}",
            "vshl.i32 q1, q1, #16",
            // The argument of n.
            "vldrw.u32 q0, [{state}], #16",
            "vshl.i32 q0, q0, #1",
            "vrmulh.s32 q0, q0, q1",
            "vldrw.u32 q1, [{input}], #16",
            "vadd.i32 q0, q0, q1",
            // n, in units of 2^-15.
            looked_up!("#16"),
            // n + z (h - n).
            "vldrh.s32 q0, [r0], #8",
            "vsub.i32 q0, q0, q1",
            "vmul.i32 q0, q0, q5",
            "vrshr.s32 q0, q0, #15",
            "vadd.i32 q0, q0, q1",
            "vqmovnb.s32 q0, q0",
            "vstrh.32 q0, [r1], #8",
            "le lr, 2b",
            reset = inout(reg) reset.as_ptr() => _,
            update = inout(reg) update.as_ptr() => _,
            input = inout(reg) input.as_ptr() => _,
            state = inout(reg) state.as_ptr() => _,
            inout("r0") old.as_ptr() => _,
            inout("r1") output.as_mut_ptr() => _,
            low = in(reg) TANH.as_ptr(),
            high = in(reg) TANH.as_ptr().wrapping_add(1),
            half = in(reg) 0x8000,
            groups = in(reg) groups,
            out("lr") _,
            out("q0") _,
            out("q1") _,
            out("q2") _,
            out("q3") _,
            out("q4") _,
            out("q5") _,
        );
    }
}
