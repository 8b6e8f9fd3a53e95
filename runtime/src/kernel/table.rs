//! `tanh` and the logistic function in integers, by a table of 257 values and straight lines between them.

/// `tanh(i / 32)` in units of 2^-15, for `i` from 0 to 256.
pub(super) const TANH: [i16; 257] = {
    /// `exp(1 / 16)`
    const STEP: f64 = 1.064_494_458_917_859_3;
    let mut table = [0; 257];
    let mut power = 1.0; // exp(2 i / 32)
    let mut index = 0;
    while index < table.len() {
        let exact = 32_768.0 * (power - 1.0) / (power + 1.0);
        table[index] = if exact > 32_767.0 { i16::MAX } else { (exact + 0.5) as i16 };
        power *= STEP;
        index += 1;
    }
    table
};

/// Fraction bits of the argument.
pub const ARGUMENT: u32 = 13;
/// Largest absolute error of [`tanh`], for every argument.
pub const TANH_ERROR: f64 = 1.3e-4;
/// Largest absolute error of [`sigmoid`], for every argument.
pub const SIGMOID_ERROR: f64 = 8.0e-5;

/// Hyperbolic tangent: argument in units of 2^-13, result in units of 2^-15, within [`TANH_ERROR`].
#[inline]
pub fn tanh(x: i32) -> i32 {
    odd::<ARGUMENT>(x)
}

/// Logistic function `1 / (1 + exp(-x))`: argument in units of 2^-13, result in units of 2^-15, from 0 to 2^15 - 1, within
/// [`SIGMOID_ERROR`].
#[inline]
pub fn sigmoid(x: i32) -> i32 {
    (0x8000 + odd::<{ ARGUMENT + 1 }>(x)) >> 1
}

/// `tanh` of an argument in units of 2^-`UNIT`.
#[inline]
fn odd<const UNIT: u32>(x: i32) -> i32 {
    let fraction = UNIT - 5; // bits of x below one step of the table
    let magnitude = x.unsigned_abs().min((8 << UNIT) - 1);
    let rest = (magnitude & ((1 << fraction) - 1)) as i32;
    let pair = TANH.get((magnitude >> fraction) as usize..).and_then(|tail| tail.first_chunk::<2>());
    let [low, high] = pair.copied().unwrap_or_default().map(i32::from);
    let value = low + (((high - low) * rest + (1 << (fraction - 1))) >> fraction);
    if x < 0 { -value } else { value }
}
