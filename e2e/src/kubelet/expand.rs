//! `$(NAME)` in commands, arguments and variables, as Kubernetes expands it.
use std::collections::BTreeMap;

/// Replaces each `$(NAME)` that is known; `$$` is an escaped `$`; what is unknown stays as it stands.
pub(super) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        match reference {
            Some((name, after)) => {
                match known.get(name) {
                    Some(value) => result.push_str(value),
                    None => result.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            None => {
                result.push('$');
                rest = after;
            }
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_replaced_and_the_rest_stays() {
        let known = BTreeMap::from([("POD".to_owned(), "app-0".to_owned())]);
        let cases = [
            ("name-$(POD).x", "name-app-0.x"),
            ("$(OTHER)", "$(OTHER)"),
            ("$$(POD)", "$(POD)"),
            ("5$ and $(POD", "5$ and $(POD"),
            ("$(POD)$(POD)", "app-0app-0"),
        ];
        assert_eq!(cases.map(|(given, _)| expand(given, &known)), cases.map(|(_, wanted)| wanted.to_owned()));
    }
}
