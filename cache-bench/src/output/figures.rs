/// A figure in as many digits as can be believed.
pub(crate) fn rounded(figure: f64) -> String {
    let digits = match figure.abs() {
        0.0 => 0,
        size if size < 1.0 => 4,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{figure:.digits$}")
}

/// A figure and its unit, if it has one.
pub(crate) fn with_unit(figure: f64, unit: &str) -> String {
    if unit.is_empty() { rounded(figure) } else { format!("{} {unit}", rounded(figure)) }
}

/// A number with commas.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_groups_of_three_digits() {
        assert_eq!([1, 1000, 20_000, 1_000_000].map(grouped), ["1", "1,000", "20,000", "1,000,000"]);
    }

    #[test]
    fn small_figures_keep_more_digits() {
        let figures = [0.0, 0.923_04, 1.254, 42.19, 2508.7, -0.5].map(rounded);
        assert_eq!(figures, ["0", "0.9230", "1.25", "42.2", "2509", "-0.5000"]);
        assert_eq!(with_unit(42.19, "ns"), "42.2 ns");
        assert_eq!(with_unit(0.5, ""), "0.5000");
    }
}
