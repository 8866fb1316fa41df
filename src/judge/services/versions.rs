//! Which versions of a program a topology may name beside that of Debian's package, and how a node finds the one that is named.

/// Where the image's entry point reads which versions run.
pub const FILE: &str = "/etc/pgquake/versions";

/// The programs whose version a topology may name.
pub const PROGRAMS: &[&str] = &["patroni", "postgresql"];

/// The major versions of PostgreSQL that an image has.
pub const POSTGRESQL: &[u32] = &[15, 16, 17, 18];

/// Every version of Patroni that the image of versions has, the oldest first.
pub fn patroni() -> impl Iterator<Item = &'static str> {
    let wanted = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/patroni-versions/patroni.txt"));
    wanted.lines().filter_map(|line| line.strip_prefix("patroni==")?.split(' ').next())
}

/// The version that is meant: that one, or the newest of a line such as `4.1`.
pub fn find_patroni(named: &str) -> Option<&'static str> {
    let is_meant = |known: &&str| {
        let rest = known.strip_prefix(named);
        !named.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    patroni().filter(is_meant).last()
}

/// What the user may name, in words.
pub fn known_of_patroni() -> String {
    patroni().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_newest_version_and_a_part_of_a_number_is_none() {
        assert_eq!(find_patroni("4.0.6"), Some("4.0.6"));
        assert_eq!(find_patroni("3.3"), Some("3.3.11"));
        assert_eq!(find_patroni("4"), patroni().last());
        for none in ["", "4.", ".", "4.0.1", "5", "v4.0"] {
            assert_eq!(find_patroni(none), None, "{none}");
        }
    }

    /// So that the newest of a line is the last one.
    #[test]
    fn the_oldest_comes_first() {
        let numbers = |version: &str| version.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
        assert!(patroni().map(numbers).is_sorted());
    }
}
