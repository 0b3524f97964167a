namespace Shop;

/// <summary>Says every ten seconds what has to be ordered, until it is told to stop.</summary>
public sealed class Worker(ILogger<Worker> logger) : BackgroundService
{
    private static readonly Dictionary<string, int> Left = new() { ["bells"] = 7, ["jars"] = 3, ["lids"] = 0 };

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            logger.LogInformation("to be ordered: {Items}", string.Join(", ", Stock.ToOrder(Left, least: 5)));
            await Task.Delay(TimeSpan.FromSeconds(10), stoppingToken);
        }
    }
}
