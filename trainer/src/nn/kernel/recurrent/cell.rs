//! One step of a gated recurrent unit, element by element.
//!
//! `gates` is the projected input, `recurrent` the projected hidden state, both `[3H]` in the order
//! r, z, n.

use super::Real;

/// One step of one row; `last` becomes the next hidden state.
#[inline(always)]
pub(super) fn cell<T: Real>(gates: &[T], recurrent: &[T], last: &mut [T], kept: Option<&mut [T]>) {
    let h = last.len();
    let (gr, gz, gn) = (&gates[..h], &gates[h..2 * h], &gates[2 * h..3 * h]);
    let (hr, hz, hn) = (&recurrent[..h], &recurrent[h..2 * h], &recurrent[2 * h..3 * h]);
    match kept {
        Some(kept) => {
            let (kr, kept) = kept.split_at_mut(h);
            let (kz, kept) = kept.split_at_mut(h);
            let (kn, km) = kept.split_at_mut(h);
            // Of a length that the compiler knows like the others'.
            let km = &mut km[..h];
            for j in 0..h {
                let r = (gr[j] + hr[j]).sigmoid();
                let z = (gz[j] + hz[j]).sigmoid();
                let n = Real::tanh(r.fma(hn[j], gn[j]));
                last[j] = z.fma(last[j] - n, n);
                (kr[j], kz[j], kn[j], km[j]) = (r, z, n, hn[j]);
            }
        }
        None => {
            for j in 0..h {
                let r = (gr[j] + hr[j]).sigmoid();
                let z = (gz[j] + hz[j]).sigmoid();
                let n = Real::tanh(r.fma(hn[j], gn[j]));
                last[j] = z.fma(last[j] - n, n);
            }
        }
    }
}

/// Gradients of one step of one row. `carry` comes as the gradient from later steps and leaves as
/// the part for the step before that does not pass through the recurrent product.
#[inline(always)]
pub(super) fn cell_backward<T: Real>(
    kept: &[T],
    before: &[T],
    grad: &[T],
    carry: &mut [T],
    dgates: &mut [T],
    drecurrent: &mut [T],
) {
    let h = before.len();
    let (r, z, n, m) = (&kept[..h], &kept[h..2 * h], &kept[2 * h..3 * h], &kept[3 * h..4 * h]);
    let (gr, rest) = dgates.split_at_mut(h);
    let (gz, gn) = rest.split_at_mut(h);
    let (hr, rest) = drecurrent.split_at_mut(h);
    let (hz, hn) = rest.split_at_mut(h);
    for j in 0..h {
        let dh = grad[j] + carry[j];
        let dn = dh * (T::ONE - z[j]) * (T::ONE - n[j] * n[j]);
        let dz = dh * (before[j] - n[j]) * z[j] * (T::ONE - z[j]);
        let dr = dn * m[j] * r[j] * (T::ONE - r[j]);
        (gr[j], gz[j], gn[j]) = (dr, dz, dn);
        (hr[j], hz[j], hn[j]) = (dr, dz, dn * r[j]);
        carry[j] = dh * z[j];
    }
}
