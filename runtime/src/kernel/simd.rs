//! The products of [`super::dot_i8`]: one portable version, which defines them, and one for cores with the DSP extension.
//!
//! The only `unsafe` of this crate is here: three instructions that work on registers alone.

/// Four rows times `x`; all have the same length, a multiple of four. A longer side is cut off.
#[cfg(not(ddn_dsp))]
#[inline(always)]
pub(super) fn dot4(rows: [&[i8]; 4], x: &[i16]) -> [i32; 4] {
    portable(rows, x)
}

/// Four rows times `x`; all have the same length, a multiple of four. A longer side is cut off.
#[cfg(ddn_dsp)]
#[inline(always)]
pub(super) fn dot4(rows: [&[i8]; 4], x: &[i16]) -> [i32; 4] {
    dsp::dot4(rows, x)
}

/// What a product is.
#[cfg_attr(ddn_dsp, allow(dead_code))]
#[inline(always)]
fn portable([a, b, c, d]: [&[i8]; 4], x: &[i16]) -> [i32; 4] {
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

/// Two products an instruction, for Cortex-M4, M7 and M33.
#[cfg(ddn_dsp)]
#[allow(unsafe_code)]
mod dsp {
    use core::arch::asm;

    /// Four columns at a time: bytes 0 and 2 of a row's word meet x0 and x2, bytes 1 and 3 meet x1 and x3.
    #[inline(always)]
    pub(super) fn dot4([a, b, c, d]: [&[i8]; 4], x: &[i16]) -> [i32; 4] {
        let (a, b) = (a.as_chunks::<4>().0, b.as_chunks::<4>().0);
        let (c, d) = (c.as_chunks::<4>().0, d.as_chunks::<4>().0);
        let [mut p, mut q, mut r, mut s] = [0_i32; 4];
        for ((((x, a), b), c), d) in x.as_chunks::<4>().0.iter().zip(a).zip(b).zip(c).zip(d) {
            let [x0, x1, x2, x3] = x.map(|x| u32::from(x.cast_unsigned()));
            let (even, odd) = (x0 | x2 << 16, x1 | x3 << 16);
            p = add(p, word(a), even, odd);
            q = add(q, word(b), even, odd);
            r = add(r, word(c), even, odd);
            s = add(s, word(d), even, odd);
        }
        [p, q, r, s]
    }

    #[inline(always)]
    fn word(bytes: &[i8; 4]) -> u32 {
        u32::from_le_bytes(bytes.map(i8::cast_unsigned))
    }

    #[inline(always)]
    fn add(sum: i32, word: u32, even: u32, odd: u32) -> i32 {
        smlad(smlad(sum, sxtb16(word), even), sxtb16_ror8(word), odd)
    }

    /// Bytes 0 and 2, sign extended to the two halves of a word.
    #[inline(always)]
    fn sxtb16(word: u32) -> u32 {
        let halves;
        // SAFETY: the instruction reads one register and writes another.
        unsafe {
            asm!("sxtb16 {}, {}", lateout(reg) halves, in(reg) word,
                options(pure, nomem, nostack, preserves_flags));
        }
        halves
    }

    /// Bytes 1 and 3, sign extended to the two halves of a word.
    #[inline(always)]
    fn sxtb16_ror8(word: u32) -> u32 {
        let halves;
        // SAFETY: the instruction reads one register and writes another.
        unsafe {
            asm!("sxtb16 {}, {}, ror #8", lateout(reg) halves, in(reg) word,
                options(pure, nomem, nostack, preserves_flags));
        }
        halves
    }

    /// Both signed products of the halves of `a` and `b`, added to `sum`, which wraps.
    #[inline(always)]
    fn smlad(sum: i32, a: u32, b: u32) -> i32 {
        let result;
        // SAFETY: the instruction reads three registers and writes one; it may set the Q flag, which no code of Rust reads.
        unsafe {
            asm!("smlad {}, {}, {}, {}", lateout(reg) result, in(reg) a, in(reg) b, in(reg) sum,
                options(pure, nomem, nostack, preserves_flags));
        }
        result
    }
}
