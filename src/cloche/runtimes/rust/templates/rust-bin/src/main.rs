use std::env;

fn main() {
    println!("{}", greeting(env::args().nth(1).as_deref()));
}

fn greeting(name: Option<&str>) -> String {
    format!("Hello, {}!", name.unwrap_or("world"))
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn greets_whom_it_is_told_to() {
        assert_eq!(greeting(Some("jar")), "Hello, jar!");
    }

    #[test]
    fn greets_the_world_when_it_is_told_nobody() {
        assert_eq!(greeting(None), "Hello, world!");
    }
}
