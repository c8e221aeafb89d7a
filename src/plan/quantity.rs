//! Kubernetes quantities (`1Gi`, `500M`, `1e3`, `1500m`) as whole bytes, for adding up. What is written into objects is always the text as it was.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

/// The bytes that `text` means, rounded up; `None` when it is no quantity, negative, or beyond 64 bits.
pub fn bytes(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.len() > 32 || whole.len() + fraction.len() == 0 {
        return None;
    }
    // Tenths and so on exactly: digits of the fraction become a divisor.
    let digits: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let (times, over) = scale(suffix)?;
    let divisor = 10u128
        .checked_pow(u32::try_from(fraction.len()).ok()?)?
        .checked_mul(over)?;
    u64::try_from(digits.checked_mul(times)?.div_ceil(divisor)).ok()
}

/// A suffix as a multiplier and a divisor.
fn scale(suffix: &str) -> Option<(u128, u128)> {
    let decimal = |power: u32| Some((10u128.checked_pow(power)?, 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => Some((1 << 10, 1)),
        "Mi" => Some((1 << 20, 1)),
        "Gi" => Some((1 << 30, 1)),
        "Ti" => Some((1 << 40, 1)),
        "Pi" => Some((1 << 50, 1)),
        "Ei" => Some((1 << 60, 1)),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10u128.checked_pow(exponent.unsigned_abs())?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bytes_rounded_up() {
        let rows = [
            ("0", Some(0)),
            ("1", Some(1)),
            ("1Gi", Some(1 << 30)),
            ("1.5Gi", Some(3 << 29)),
            (".5Ki", Some(512)),
            ("5.", Some(5)),
            ("500M", Some(500_000_000)),
            ("1k", Some(1000)),
            ("1e3", Some(1000)),
            ("12E6", Some(12_000_000)),
            ("15E", Some(15_000_000_000_000_000_000)),
            ("15e-1", Some(2)),
            ("1500m", Some(2)),
            ("1n", Some(1)),
            ("15Ei", Some(15 << 60)),
            ("16Ei", None),
            ("1e40", None),
            ("-1Gi", None),
            ("", None),
            (".", None),
            ("Gi", None),
            ("1GiB", None),
            ("1 Gi", None),
            ("1.2.3", None),
        ];
        for (text, expected) in rows {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }
}
