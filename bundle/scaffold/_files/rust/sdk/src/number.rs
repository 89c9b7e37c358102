//! Reads numbers exactly. The standard library does this as well, and brings 15 KB of tables for it, a third of a guest.

/// A large number: words[36] is that of the ones, those below it are its fraction; more says that something was cut off below.
/// There is room for 800 digits, and no number halfway between two doubles has more.
struct Big {
    words: [u32; 128],
    more: bool,
}

const ONE: usize = 36;
const DIGITS: i32 = 800;

impl Big {
    fn multiply(&mut self, by: u32, add: u32) {
        let mut carry = 0u64;
        for (i, word) in self.words.iter_mut().enumerate() {
            carry += *word as u64 * by as u64 + if i == ONE { add as u64 } else { 0 };
            *word = carry as u32;
            carry >>= 32;
        }
    }

    fn divide(&mut self, by: u32) {
        let mut rest = 0u64;
        for word in self.words.iter_mut().rev() {
            rest = rest << 32 | *word as u64;
            *word = (rest / by as u64) as u32;
            rest %= by as u64;
        }
        self.more |= rest != 0;
    }

    /// Multiplies by ten to the power of exponent.
    fn scale(&mut self, mut exponent: i32) {
        while exponent != 0 {
            let step = exponent.clamp(-9, 9);
            let tens = 10u32.pow(step.unsigned_abs());
            if step > 0 {
                self.multiply(tens, 0);
            } else {
                self.divide(tens);
            }
            exponent -= step;
        }
    }

    /// Returns the nearest double, halves to the even one; None if there is none: too large.
    fn nearest(&self) -> Option<f64> {
        let high = match self.words.iter().rposition(|&word| word != 0) {
            Some(high) if high > 1 => high,
            _ => return Some(0.0),
        };
        let free = self.words[high].leading_zeros();
        let exponent = 32 * (high as i32 - ONE as i32) + 31 - free as i32;
        let drop = if exponent >= -1022 { 11 } else { 11 - 1022 - exponent }; // the smallest doubles have fewer bits
        if drop > 64 {
            return Some(0.0);
        }
        let next = (self.words[high - 2] as u64) << free;
        let more = self.more || next as u32 != 0 || self.words[..high - 2].iter().any(|&word| word != 0);
        let top = ((self.words[high] as u64) << 32 | self.words[high - 1] as u64) << free | next >> 32; // the first 64 bits
        let half = 1u64 << (drop - 1);
        let cut = top & (half | (half - 1));
        let mut bits = if drop < 64 { top >> drop } else { 0 };
        if cut > half || cut == half && (more || bits & 1 == 1) {
            bits += 1;
        }
        if exponent >= -1022 {
            bits += ((exponent + 1022) as u64) << 52; // adding lets a carry out of the fraction raise the exponent
        }
        if bits >= 0x7ff << 52 {
            None
        } else {
            Some(f64::from_bits(bits))
        }
    }
}

/// Reads a JSON number; None if the text is none, or too large for a double.
pub fn parse(text: &[u8]) -> Option<f64> {
    let minus = text.first() == Some(&b'-');
    let (mut dot, mut any) = (false, false);
    let mut i = minus as usize;
    let (mut digits, mut exponent) = (0i32, 0i32); // digits: but for zeros in front
    let mut value = 0.0;
    while let Some(&c) = text.get(i) {
        match c {
            b'.' if any && !dot => {
                dot = true;
                any = false;
            }
            b'0'..=b'9' => {
                any = true;
                digits += (digits > 0 || c > b'0') as i32;
                exponent -= dot as i32;
                value = value * 10.0 + (c - b'0') as f64;
            }
            _ => break,
        }
        i += 1;
    }
    if !any {
        return None;
    }
    if let Some(b'e' | b'E') = text.get(i) {
        i += 1;
        let less = text.get(i) == Some(&b'-');
        if let Some(b'-' | b'+') = text.get(i) {
            i += 1;
        }
        any = false;
        let mut e = 0i32;
        while let Some(&c @ b'0'..=b'9') = text.get(i) {
            any = true;
            if e < 100_000_000 {
                e = e * 10 + (c - b'0') as i32;
            }
            i += 1;
        }
        exponent += if less { -e } else { e };
    }
    if !any || i < text.len() {
        return None;
    }
    let value = if digits == 0 {
        0.0
    } else if digits <= 15 && (-22..=22).contains(&exponent) {
        let mut tens = 1.0; // exact, and so are the digits: there is one rounding
        for _ in 0..exponent.abs() {
            tens *= 10.0;
        }
        if exponent < 0 {
            value / tens
        } else {
            value * tens
        }
    } else {
        slow(text, digits, exponent)?
    };
    Some(if minus { -value } else { value })
}

#[cold]
#[inline(never)]
fn slow(text: &[u8], digits: i32, exponent: i32) -> Option<f64> {
    if exponent + digits < -330 {
        return Some(0.0);
    }
    if exponent + digits > 310 {
        return None;
    }
    let mut big = Big { words: [0; 128], more: false };
    let mut read = 0;
    for &c in text.iter().take_while(|&&c| c | 0x20 != b'e') {
        if !c.is_ascii_digit() {
            continue; // sign or point
        }
        read += (read > 0 || c > b'0') as i32;
        if read <= DIGITS {
            big.multiply(10, (c - b'0') as u32);
        } else {
            big.more |= c != b'0';
        }
    }
    big.scale(exponent + (digits - DIGITS).max(0));
    big.nearest()
}
