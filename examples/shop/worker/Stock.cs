namespace Shop;

/// <summary>Decides on what the shop has too little of.</summary>
public static class Stock
{
    /// <summary>Gives the names of which fewer than <paramref name="least"/> are left, ordered.</summary>
    public static IEnumerable<string> ToOrder(IReadOnlyDictionary<string, int> left, int least) =>
        left.Where(item => item.Value < least).Select(item => item.Key).Order(StringComparer.Ordinal);
}
