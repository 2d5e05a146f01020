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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_figures_keep_more_digits() {
        let figures = [0.0, 0.923_04, 1.254, 42.19, 2508.7, -0.5].map(rounded);
        assert_eq!(figures, ["0", "0.9230", "1.25", "42.2", "2509", "-0.5000"]);
        assert_eq!(with_unit(42.19, "ns"), "42.2 ns");
        assert_eq!(with_unit(0.5, ""), "0.5000");
    }
}
