//! `tanh` and the logistic function from the four basic operations, so that they give the same bits on every target.
//!
//! `tanh` is an odd polynomial of degree 13 over an even one of degree 6. `runtime/fit/tanh.py` finds the coefficients.

/// Beyond this `tanh` is taken to be constant; it is within 2.3e-7 of 1.
const CLAMP: f32 = 8.0;
/// Coefficients of `x^1, x^3, …, x^13`.
const NUM: [f32; 7] =
    [1.0, 0.131_243_5, 0.003_149_364_4, 1.164_244e-5, -2.231_464_4e-8, 6.365_523e-11, -1.156_427_8e-13];
/// Coefficients of `x^0, x^2, x^4, x^6`.
const DEN: [f32; 4] = [1.0, 0.464_576_8, 0.024_674_999, 0.000_261_297_36];

/// Largest absolute error of [`tanh`] over all `f32`.
pub const TANH_ERROR: f64 = 4.0e-7;
/// Largest absolute error of [`sigmoid`] over all `f32`.
pub const SIGMOID_ERROR: f64 = 2.5e-7;

/// Hyperbolic tangent, within [`TANH_ERROR`] of the exact value. Its magnitude never exceeds 1.
///
/// Not a number in, not a number out.
#[inline]
pub fn tanh(x: f32) -> f32 {
    let x = limited(x, CLAMP);
    let y = x * x;
    let [a, b, c, d, e, f, g] = NUM;
    let num = (((((g * y + f) * y + e) * y + d) * y + c) * y + b) * y + a;
    let [a, b, c, d] = DEN;
    let den = ((d * y + c) * y + b) * y + a;
    limited(x * num / den, 1.0)
}

/// Logistic function `1 / (1 + exp(-x))`, within [`SIGMOID_ERROR`] of the exact value, in `[0, 1]`.
///
/// Not a number in, not a number out.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

/// `x` moved into `[-bound, bound]`.
#[inline]
pub(super) fn limited(x: f32, bound: f32) -> f32 {
    let x = if x > bound { bound } else { x };
    if x < -bound { -bound } else { x }
}
