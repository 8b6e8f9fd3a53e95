//! The products of [`super::dot_i8`]: one portable version, which defines them, and one for cores with the DSP extension.
//! Cores with vectors have [`mve`] beside the portable one.
//!
//! The only `unsafe` that this crate runs on a microcontroller is here: loops over memory whose bounds are checked before them.

#[cfg(ddn_mve)]
pub(super) mod mve;

pub(super) use version::{dot4, ordered};

/// What the products are.
#[cfg(not(ddn_dsp))]
mod version {
    use super::super::halves;

    /// The int16 in `x` in the order that [`dot4`] wants them: as they are.
    #[inline(always)]
    pub(in super::super) fn ordered<'a>(x: &'a [f32], _: &'a mut [f32]) -> &'a [f32] {
        x
    }

    /// Four rows times `x`. The rows stand one after another in `block`; they, and the int16 in `x`, have the same length,
    /// a multiple of eight.
    #[inline(always)]
    pub(in super::super) fn dot4(block: &[i8], x: &[f32]) -> [i32; 4] {
        let x = halves(x);
        let (a, rest) = block.split_at_checked(x.len()).unwrap_or_default();
        let (b, rest) = rest.split_at_checked(x.len()).unwrap_or_default();
        let (c, d) = rest.split_at_checked(x.len()).unwrap_or_default();
        let [mut p, mut q, mut r, mut s] = [0_i32; 4];
        for ((((x, a), b), c), d) in x.iter().zip(a).zip(b).zip(c).zip(d) {
            let x = i32::from(*x);
            p = p.wrapping_add(x * i32::from(*a));
            q = q.wrapping_add(x * i32::from(*b));
            r = r.wrapping_add(x * i32::from(*c));
            s = s.wrapping_add(x * i32::from(*d));
        }
        [p, q, r, s]
    }
}

/// The same, two products an instruction, for Cortex-M4, M7 and M33.
#[cfg(ddn_dsp)]
#[allow(unsafe_code)]
mod version {
    use core::arch::asm;

    /// The int16 in `x` in the order that [`dot4`] wants them, written to `to`: of four, x0 x2 x1 x3.
    pub(in super::super) fn ordered<'a>(x: &'a [f32], to: &'a mut [f32]) -> &'a [f32] {
        for (to, x) in to.as_chunks_mut::<2>().0.iter_mut().zip(x.as_chunks::<2>().0) {
            let [low, high] = x.map(f32::to_bits);
            *to = [low & 0xffff | high << 16, low >> 16 | high & 0xffff_0000].map(f32::from_bits);
        }
        to
    }

    /// Four rows times `x`, eight columns in 44 instructions: bytes 0 and 2 of a row's word meet x0 and x2, bytes 1 and 3
    /// meet x1 and x3.
    #[inline(always)]
    pub(in super::super) fn dot4(block: &[i8], x: &[f32]) -> [i32; 4] {
        let groups = x.len() / 4;
        let width = 8 * groups;
        if groups == 0 || block.len() < 4 * width {
            return [0; 4];
        }
        let (p, q, r, s): (i32, i32, i32, i32);
        // SAFETY: `groups` is at least 1; the loop reads `groups` times four words of `x` and two words of each row, all of
        // them inside the slices by the check above. `x` is aligned, words of `block` need not be. r7 cannot be an
        // operand; it is saved and restored.
        unsafe {
            asm!(
                "push {{r7}}",
                "add {third}, {first}, {width}, lsl #1",
                "mov {p}, #0",
                "mov {q}, #0",
                "mov {r}, #0",
                "mov {s}, #0",
                "2:",
                "ldrd {even}, {odd}, [{x}], #8",
                "ldr r7, [{first}, {width}]",
                "sxtb16 {half}, r7",
                "smlad {q}, {half}, {even}, {q}",
                "sxtb16 r7, r7, ror #8",
                "smlad {q}, r7, {odd}, {q}",
                "ldr r7, [{first}], #4",
                "sxtb16 {half}, r7",
                "smlad {p}, {half}, {even}, {p}",
                "sxtb16 r7, r7, ror #8",
                "smlad {p}, r7, {odd}, {p}",
                "ldr r7, [{third}, {width}]",
                "sxtb16 {half}, r7",
                "smlad {s}, {half}, {even}, {s}",
                "sxtb16 r7, r7, ror #8",
                "smlad {s}, r7, {odd}, {s}",
                "ldr r7, [{third}], #4",
                "sxtb16 {half}, r7",
                "smlad {r}, {half}, {even}, {r}",
                "sxtb16 r7, r7, ror #8",
                "smlad {r}, r7, {odd}, {r}",
                "ldrd {even}, {odd}, [{x}], #8",
                "ldr r7, [{first}, {width}]",
                "sxtb16 {half}, r7",
                "smlad {q}, {half}, {even}, {q}",
                "sxtb16 r7, r7, ror #8",
                "smlad {q}, r7, {odd}, {q}",
                "ldr r7, [{first}], #4",
                "sxtb16 {half}, r7",
                "smlad {p}, {half}, {even}, {p}",
                "sxtb16 r7, r7, ror #8",
                "smlad {p}, r7, {odd}, {p}",
                "ldr r7, [{third}, {width}]",
                "sxtb16 {half}, r7",
                "smlad {s}, {half}, {even}, {s}",
                "sxtb16 r7, r7, ror #8",
                "smlad {s}, r7, {odd}, {s}",
                "ldr r7, [{third}], #4",
                "sxtb16 {half}, r7",
                "smlad {r}, {half}, {even}, {r}",
                "sxtb16 r7, r7, ror #8",
                "smlad {r}, r7, {odd}, {r}",
                "subs {groups}, {groups}, #1",
                "bne 2b",
                "pop {{r7}}",
                first = inout(reg) block.as_ptr() => _,
                third = out(reg) _,
                width = in(reg) width,
                x = inout(reg) x.as_ptr() => _,
                groups = inout(reg) groups => _,
                even = out(reg) _,
                odd = out(reg) _,
                half = out(reg) _,
                p = out(reg) p,
                q = out(reg) q,
                r = out(reg) r,
                s = out(reg) s,
            );
        }
        [p, q, r, s]
    }
}
