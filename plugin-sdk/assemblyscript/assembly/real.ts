// Decimal numbers to doubles, each to the nearest one, ties to even. AssemblyScript's own `parseFloat` can be one unit off in the
// last place, and then a read model would not be the one that other languages write.

/** More digits change nothing but whether a number is exactly between two doubles, which a last digit says for all of them. */
const DIGITS_MAX: i32 = 800;
/** 10^(DIGITS_MAX + 345) and what it is shifted by fit. */
const LIMBS: i32 = 128;
const POWERS: StaticArray<f64> = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

const numerator: StaticArray<u32> = new StaticArray<u32>(LIMBS);
const denominator: StaticArray<u32> = new StaticArray<u32>(LIMBS);

/** The double nearest to a number as JSON writes it, infinite where it is too large. The number is valid JSON. */
export function parseReal(from: usize, to: usize): f64 {
  const negative = load<u8>(from) == 0x2d;
  let at = negative ? from + 1 : from;
  const digits = at;
  let mantissa: u64 = 0;
  let count = 0;
  let exponent = 0;
  let fraction = false;
  for (; at < to; at++) {
    const digit = <u32>load<u8>(at) - 0x30;
    if (digit < 10) {
      if (count > 0 || digit > 0) count++;
      if (count <= 19) mantissa = mantissa * 10 + digit;
      if (fraction) exponent--;
    } else if (load<u8>(at) == 0x2e) {
      fraction = true;
    } else {
      break;
    }
  }
  const end = at;
  if (at < to) {
    const down = load<u8>(++at) == 0x2d;
    let power = 0;
    for (; at < to; at++) {
      const digit = <i32>load<u8>(at) - 0x30;
      // What is larger is no different, and would not fit.
      if (digit >= 0 && digit < 10 && power < 1_000_000) power = power * 10 + digit;
    }
    exponent += down ? -power : power;
  }
  const size = magnitude(digits, end, mantissa, count, exponent);
  return negative ? -size : size;
}

function magnitude(digits: usize, end: usize, mantissa: u64, count: i32, exponent: i32): f64 {
  if (count == 0) return 0;
  if (count + exponent > 310) return Infinity;
  if (count + exponent < -345) return 0;
  // Both are exact, so that one operation rounds once: W. D. Clinger, "How to Read Floating Point Numbers Accurately", 1990.
  if (count <= 19 && mantissa <= 1 << 53 && exponent >= -22 && exponent <= 22) {
    const exact = <f64>mantissa;
    return exponent < 0 ? exact / POWERS[-exponent] : exact * POWERS[exponent];
  }
  return divided(digits, end, count, exponent);
}

/** Digit by binary digit, by long division of large integers. */
function divided(digits: usize, end: usize, count: i32, exponent: i32): f64 {
  memory.fill(changetype<usize>(numerator), 0, LIMBS << 2);
  memory.fill(changetype<usize>(denominator), 0, LIMBS << 2);
  let seen = 0;
  let rest: u32 = 0;
  for (let at = digits; at < end; at++) {
    const digit = <u32>load<u8>(at) - 0x30;
    if (digit > 9 || (seen == 0 && digit == 0)) continue;
    if (seen < DIGITS_MAX) multiply(numerator, 10, digit);
    else rest |= digit;
    seen++;
  }
  if (count > DIGITS_MAX) {
    multiply(numerator, 10, rest == 0 ? 0 : 1);
    exponent += count - DIGITS_MAX - 1;
  }
  denominator[0] = 1;
  for (let i = 0; i < exponent; i++) multiply(numerator, 10, 0);
  for (let i = exponent; i < 0; i++) multiply(denominator, 10, 0);

  // The number is numerator / denominator * 2^scale, and the quotient is from 1 to below 2.
  let scale = length(numerator) - length(denominator);
  if (scale > 0) shift(denominator, scale);
  else shift(numerator, -scale);
  if (compare() < 0) {
    shift(numerator, 1);
    scale--;
  }
  if (scale > 1023) return Infinity;
  const bits = min(53, scale + 1075);
  if (bits < 0) return 0;
  let mantissa: u64 = 0;
  for (let i = 0; i < bits; i++) {
    mantissa <<= 1;
    if (compare() >= 0) {
      subtract();
      mantissa |= 1;
    }
    shift(numerator, 1);
  }
  const half = compare();
  if (half > 0 || (half == 0 && (mantissa & 1) == 1)) mantissa++;
  // A mantissa that was rounded up to the next power of two carries into the exponent, as it should.
  return reinterpret<f64>(bits < 53 ? mantissa : (<u64>(scale + 1022) << 52) + mantissa);
}

function multiply(number: StaticArray<u32>, factor: u64, add: u64): void {
  let carry = add;
  for (let i = 0; i < LIMBS; i++) {
    carry += <u64>unchecked(number[i]) * factor;
    unchecked((number[i] = <u32>carry));
    carry >>= 32;
  }
}

/** How many bits it has. */
function length(number: StaticArray<u32>): i32 {
  let i = LIMBS - 1;
  while (i > 0 && number[i] == 0) i--;
  return (i << 5) + 32 - <i32>clz(number[i]);
}

function shift(number: StaticArray<u32>, bits: i32): void {
  const limbs = bits >> 5;
  const rest = bits & 31;
  for (let i = LIMBS - 1; i >= 0; i--) {
    const high = i >= limbs ? <u64>number[i - limbs] : 0;
    const low = i > limbs ? <u64>number[i - limbs - 1] : 0;
    number[i] = <u32>((((high << 32) | low) << rest) >> 32);
  }
}

function compare(): i32 {
  for (let i = LIMBS - 1; i >= 0; i--) {
    const left = numerator[i];
    const right = denominator[i];
    if (left != right) return left < right ? -1 : 1;
  }
  return 0;
}

function subtract(): void {
  let borrow: u64 = 0;
  for (let i = 0; i < LIMBS; i++) {
    const difference = <u64>numerator[i] - <u64>denominator[i] - borrow;
    numerator[i] = <u32>difference;
    borrow = difference >> 63;
  }
}
