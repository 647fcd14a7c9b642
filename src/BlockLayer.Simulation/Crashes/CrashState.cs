using System.Text;

namespace BlockLayer.Simulation;

/// <summary>One state that a crash could leave: for each pending operation whether it was lost, survived, or survived in some of its sectors.</summary>
public sealed class CrashState
{
    private readonly SectorPattern?[] _fates;

    internal CrashState(CrashImage image, SectorPattern?[] fates)
    {
        Image = image;
        _fates = fates;
    }

    /// <summary>The moment of the crash.</summary>
    public CrashImage Image { get; }

    /// <summary>Storage that holds what survived, as after a reboot: nothing is locked, nothing is pending. Requests complete before their call returns.</summary>
    public SimulatedStorageProvider Open()
        => new(scheduler: null, new SimulatedStorageOptions { Latency = LatencyModel.Inline }, Image.Materialise(_fates, WriteCacheMode.Volatile));

    /// <summary>The same for a simulation of what happens after the reboot.</summary>
    public SimulatedStorageProvider Open(SimulationScheduler scheduler, SimulatedStorageOptions? options = null)
    {
        options ??= new SimulatedStorageOptions();
        return new SimulatedStorageProvider(scheduler, options, Image.Materialise(_fates, options.WriteCache));
    }

    /// <summary>What happened to each pending operation, a line each.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        text.AppendLine(Image.ToString());
        for (int i = 0; i < _fates.Length; i++)
        {
            string fate = _fates[i] is not { } pattern ? "lost" : pattern.IsAll ? "survived" : $"torn, {pattern} survived";
            text.Append("  ").Append(i).Append(": ").Append(Image.Describe(i)).Append(": ").AppendLine(fate);
        }

        return text.ToString();
    }

    /// <summary>The state as one line that <see cref="CrashRecorder.FindState"/> turns back into it, in the same run.</summary>
    public override string ToString() => CrashLine.Write(Image.Number, _fates);
}
