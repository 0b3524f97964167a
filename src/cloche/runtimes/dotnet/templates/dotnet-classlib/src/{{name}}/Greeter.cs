namespace {{name}};

/// <summary>Greets.</summary>
public static class Greeter
{
    /// <summary>Gives a greeting for <paramref name="name"/>.</summary>
    public static string Greet(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return $"Hello, {name.Trim()}.";
    }
}
