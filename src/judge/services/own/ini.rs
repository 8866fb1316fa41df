//! Files of `key = value`, with sections or without, as PgBouncer and PostgreSQL have them.

/// A line that sets something.
pub(super) struct Entry<'a> {
    /// The section that it stands in; empty before the first.
    pub section: &'a str,
    pub key: &'a str,
    pub value: String,
    /// Counted from 1.
    pub line: usize,
}

/// Every line of an INI file that sets something; or the number of the first line that is none of it.
pub(super) fn of_ini(text: &str) -> Result<Vec<Entry<'_>>, usize> {
    let mut section = "";
    let mut entries = Vec::new();
    for (number, said) in lines(text, &['#', ';']) {
        if let Some(name) = said.strip_prefix('[') {
            let (name, after) = name.split_once(']').ok_or(number)?;
            if !after.trim().is_empty() && !after.trim().starts_with(['#', ';']) {
                return Err(number);
            }
            section = name.trim();
            continue;
        }
        let (key, value) = said.split_once('=').ok_or(number)?;
        entries.push(Entry { section, key: key.trim(), value: value.trim().to_owned(), line: number });
    }
    Ok(entries)
}

/// Every line of a `postgresql.conf` that sets something: the equals sign may be left out, a value may stand in quotes, and a
/// comment may follow it.
pub(super) fn of_postgresql(text: &str) -> Result<Vec<Entry<'_>>, usize> {
    let entry = |(number, said): (usize, &'_ str)| -> Result<_, usize> {
        let end = said.find(|letter: char| letter.is_whitespace() || letter == '=').ok_or(number)?;
        let (key, rest) = said.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        Ok((key.to_owned(), value(rest).ok_or(number)?))
    };
    lines(text, &['#'])
        .map(|line| {
            let (key, value) = entry(line)?;
            Ok(Entry { section: "", key: &line.1[..key.len()], value, line: line.0 })
        })
        .collect()
}

/// Lines that are neither empty nor a comment, with their numbers from 1.
fn lines<'a>(text: &'a str, comments: &'static [char]) -> impl Iterator<Item = (usize, &'a str)> {
    let all = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    all.filter(move |(_, line)| !line.is_empty() && !line.starts_with(comments))
}

/// A value of PostgreSQL's, up to a comment; `None`: it is no value.
fn value(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let said = text.split('#').next().unwrap_or_default().trim();
        return is_plain(said).then(|| said.to_owned());
    };
    let mut value = String::new();
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if letters.peek() == Some(&'\'') => value.extend(letters.next()),
            '\'' => {
                let after: String = letters.collect();
                let after = after.trim();
                return (after.is_empty() || after.starts_with('#')).then_some(value);
            }
            '\\' => value.extend(letters.next().map(|letter| match letter {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            })),
            _ => value.push(letter),
        }
    }
    None
}

/// Whether PostgreSQL takes a value without quotes: a word, or a number with its unit.
fn is_plain(value: &str) -> bool {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || !letter.is_ascii();
    let begins = value.starts_with(|first: char| is_of_word(first) || "+-.".contains(first));
    begins && value.chars().all(|letter| is_of_word(letter) || "+-.:/".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: Result<Vec<Entry<'_>>, usize>) -> Vec<(String, String, usize)> {
        let entries = entries.unwrap_or_else(|line| panic!("line {line}"));
        entries.into_iter().map(|entry| (entry.key.to_owned(), entry.value, entry.line)).collect()
    }

    #[test]
    fn postgresql_has_quotes_comments_and_no_equals_sign() {
        let text = "# a comment\nwork_mem = 8MB # more\n\nshared_preload_libraries 'a, b'\narchive_command='cp %p ''x'' # y' # z\n";
        let wanted =
            [("work_mem", "8MB", 2), ("shared_preload_libraries", "a, b", 4), ("archive_command", "cp %p 'x' # y", 5)];
        assert_eq!(
            read(of_postgresql(text)),
            wanted.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line))
        );
        for taken in ["a = b_1", "a = -1", "a = +.5", "a = 8MB", "a = pg-stat.x:y/z", "a on#x"] {
            assert!(of_postgresql(taken).is_ok(), "{taken}");
        }
        let unquoted = ["a = *", "a = b,c", "a = \"b\"", "a = log-%a", "a = /tmp", "a = b;", "a = $libdir"];
        let wrong = ["work_mem", "work_mem =", "work_mem = 8 MB", "work_mem = '8MB", "work_mem = '8MB' 9"];
        for wrong in wrong.into_iter().chain(unquoted) {
            assert_eq!(of_postgresql(wrong).err(), Some(1), "{wrong}");
        }
    }

    #[test]
    fn an_ini_file_has_sections() {
        let entries =
            of_ini("; x\n[databases]\n* = host=node1 port=5432\n[pgbouncer]\npool_mode = session\n").ok().unwrap();
        let told: Vec<_> = entries.iter().map(|entry| (entry.section, entry.key, entry.value.as_str())).collect();
        assert_eq!(told, [("databases", "*", "host=node1 port=5432"), ("pgbouncer", "pool_mode", "session")]);
        assert_eq!(of_ini("[databases\n").err(), Some(1));
        assert_eq!(of_ini("\npool_mode\n").err(), Some(2));
    }
}
