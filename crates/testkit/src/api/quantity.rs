//! `resource.Quantity`: enough to refuse what is none and to compare two.

/// The value of `1Gi`, `500M`, `1e3`, `1500m`; none if the text is no quantity.
pub(crate) fn value(text: &str) -> Option<f64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let scale = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            10_f64.powi(exponent.parse().ok()?)
        }
    };
    Some(number * scale)
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn suffixes_scale_and_other_words_are_refused() {
        for (text, expected) in [
            ("1Gi", Some(1_073_741_824.0)),
            ("0.5Ki", Some(512.0)),
            ("1e3", Some(1000.0)),
            ("2E", Some(2e18)),
            ("1Qi", None),
            ("", None),
            ("Gi", None),
            ("1 Gi", None),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }
}
