using Xunit;

namespace {{name}}.Tests;

public class GreeterTests
{
    [Fact]
    public void GreetsByName() => Assert.Equal("Hello, Ada.", Greeter.Greet(" Ada "));

    [Fact]
    public void RefusesNobody() => Assert.Throws<ArgumentException>(() => Greeter.Greet(" "));
}
