//! Passwords of a run, made by chance.

use rand::{Rng, distr::Alphanumeric};

pub use pgquake_judge::credentials::*;

const PASSWORD_LENGTH: usize = 24;

/// New random passwords.
pub fn generate() -> Credentials {
    Credentials {
        superuser_password: password(),
        replication_password: password(),
        client_password: password(),
        names_api_key: password(),
    }
}

fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_do_not_print() {
        let credentials = generate();
        assert_ne!(credentials.superuser_password, credentials.client_password);
        assert_ne!(credentials, generate());
        assert!(!format!("{credentials:?}").contains(&credentials.client_password));
    }
}
