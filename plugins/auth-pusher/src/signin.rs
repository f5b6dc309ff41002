//! Is this client the user that it says it is? Yes with a signature that the app's server made for this socket and this user.

use jackfield_sdk::{Connection, SigninRequest};

/// Checks a signin, with `text` as working memory. An error is for the client's developer.
pub(crate) fn check(client: &Connection, request: &SigninRequest, text: &mut String) -> Result<(), String> {
    let signature = crate::signature(client, &request.auth, "a signin")?;
    text.clear();
    text.push_str(&client.socket_id);
    text.push_str("::user::");
    // The bytes as they came: the same JSON written differently has another signature.
    text.push_str(&request.user_data);
    crate::verify(text, signature)
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::{Auth, SigninRequest, Verdict};

    use crate::tests::{client, plugin, refusal};

    const AUTH: &str = "278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba";
    const USER: &str = r#"{"id":"12345"}"#;

    fn signin(auth: &str, user_data: &str) -> Verdict {
        let request = SigninRequest {
            auth: auth.to_owned(),
            user_data: user_data.to_owned(),
        };
        plugin().signin(&client(), &request)
    }

    // Pusher, "Auth signatures", user authentication: the example, recomputed.
    #[test]
    fn the_golden_signature_signs_in() {
        assert_eq!(signin(AUTH, USER), Verdict::allow());
    }

    #[test]
    fn anything_else_does_not() {
        for (auth, user, wanted) in [
            ("", USER, "needs `auth`"),
            (AUTH, r#"{"id": "12345"}"#, "invalid signature: sign 1234.1234::user::"),
            (AUTH, r#"{"id":"12346"}"#, "invalid signature"),
            (
                "other:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
                USER,
                "another app's key",
            ),
            ("278d425bdf160c739803:4708", USER, "64 lower-case"),
        ] {
            let message = refusal(signin(auth, user));
            assert!(message.contains(wanted), "{message}");
        }
    }
}
