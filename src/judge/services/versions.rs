//! Which versions of a program a topology may name beside that of Debian's package, and how a node finds the one that is named.

/// Where the image's entry point reads which versions run.
pub const FILE: &str = "/etc/pgquake/versions";

/// The programs whose version a topology may name.
pub const PROGRAMS: &[&str] = &["etcd", "patroni", "postgresql"];

/// The major versions of PostgreSQL that an image has.
pub const POSTGRESQL: &[u32] = &[15, 16, 17, 18];

/// The minor versions of a major one, the oldest first, where an image has several: those of the wheels that
/// `images/versions.env` pins.
const MINORS: &[(u32, &[u32])] = &[(16, &[11, 14])];

/// The lines of etcd: that of Debian's package, and one that is built from its Go module.
pub const ETCD: &[&str] = &["3.5", "3.6"];

/// The minor versions of a major one of PostgreSQL that a topology may name, the oldest first; none where the image has one alone.
pub fn minors_of(major: u32) -> &'static [u32] {
    MINORS.iter().find(|(of, _)| *of == major).map_or(&[], |(_, minors)| minors)
}

/// Reads a version of PostgreSQL, as `16` or `16.11`: the major and the minor one, whether they can be had or not.
pub fn read_postgresql(text: &str) -> Option<(u32, Option<u32>)> {
    match text.split_once('.') {
        Some((major, minor)) => Some((number(major)?, Some(number(minor)?))),
        None => Some((number(text)?, None)),
    }
}

/// A number as a version writes it: without a sign, and without zeros before it.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// Whether a version is the one that is named, or one of a line that is named: `4.1.5` of `4.1`.
pub fn is_meant(named: &str, version: &str) -> bool {
    let rest = version.strip_prefix(named);
    !named.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// How the entry point's file names a version of PostgreSQL: with the minor one where the image has several.
pub fn of_postgresql(major: u32, minor: Option<u32>) -> String {
    match minor.or(minors_of(major).last().copied()) {
        Some(minor) => format!("{major}.{minor}"),
        None => major.to_string(),
    }
}

fn known_of_postgresql() -> String {
    let own = |major: &u32| {
        let minors = minors_of(*major).iter().map(|minor| format!("{major}.{minor}")).collect::<Vec<_>>();
        if minors.is_empty() { major.to_string() } else { format!("{major} ({})", minors.join(", ")) }
    };
    POSTGRESQL.iter().map(own).collect::<Vec<_>>().join(", ")
}

/// Every version of Patroni that the image of versions has, the oldest first.
pub fn patroni() -> impl Iterator<Item = &'static str> {
    let wanted = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/patroni-versions/patroni.txt"));
    wanted.lines().filter_map(|line| line.strip_prefix("patroni==")?.split(' ').next())
}

/// The version that is meant: that one, or the newest of a line such as `4.1`.
pub fn find_patroni(named: &str) -> Option<&'static str> {
    patroni().filter(|known| is_meant(named, known)).last()
}

/// What the version that is meant is called among the packages of an image, if it can be had.
pub fn package(program: &str, named: &str) -> Option<String> {
    match program {
        "patroni" => find_patroni(named).map(|version| format!("patroni-{version}")),
        "postgresql" => {
            let (major, minor) = read_postgresql(named)?;
            let is_there = POSTGRESQL.contains(&major) && minor.is_none_or(|minor| minors_of(major).contains(&minor));
            is_there.then(|| format!("postgresql-{}", of_postgresql(major, minor)))
        }
        // The first is that of Debian's package.
        "etcd" if ETCD.first() == Some(&named) => Some("etcd-server".to_owned()),
        "etcd" if ETCD.contains(&named) => Some(format!("etcd-{named}")),
        _ => None,
    }
}

/// What the user may name of a program, in words.
pub fn known_of(program: &str) -> String {
    match program {
        "patroni" => format!("{}; or `4.1` for the newest of a line", patroni().collect::<Vec<_>>().join(", ")),
        "postgresql" => known_of_postgresql(),
        _ => ETCD.join(", "),
    }
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

    #[test]
    fn a_version_of_postgresql_is_its_newest_minor_where_several_can_be_had() {
        assert_eq!(read_postgresql("16.11"), Some((16, Some(11))));
        assert_eq!(read_postgresql("18"), Some((18, None)));
        for none in ["", "16.", "16.11.2", "new", "+16", "016", "16.011"] {
            assert_eq!(read_postgresql(none), None, "{none}");
        }
        assert_eq!(of_postgresql(16, None), "16.14");
        assert_eq!(of_postgresql(16, Some(11)), "16.11");
        assert_eq!(of_postgresql(17, None), "17");
        assert_eq!(known_of_postgresql(), "15, 16 (16.11, 16.14), 17, 18");
        assert!(MINORS.iter().all(|(major, minors)| POSTGRESQL.contains(major) && minors.is_sorted()));
    }

    #[test]
    fn a_package_is_called_as_the_images_say() {
        for (program, named, package) in [
            ("patroni", "4.1", Some("patroni-4.1.5")),
            ("postgresql", "16", Some("postgresql-16.14")),
            ("postgresql", "16.11", Some("postgresql-16.11")),
            ("postgresql", "18", Some("postgresql-18")),
            ("postgresql", "16.12", None),
            ("postgresql", "14", None),
            ("patroni", "4.7", None),
            ("etcd", "3.5", Some("etcd-server")),
            ("etcd", "3.6", Some("etcd-3.6")),
            ("etcd", "3.7", None),
            ("haproxy", "3.0", None),
        ] {
            assert_eq!(super::package(program, named).as_deref(), package, "{program} {named}");
        }
    }

    /// So that the newest of a line is the last one.
    #[test]
    fn the_oldest_comes_first() {
        let numbers = |version: &str| version.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
        assert!(patroni().map(numbers).is_sorted());
    }
}
