namespace BlockLayer.Simulation;

/// <summary>Watches simulated storage during a run and captures, at the moments that matter, everything a power failure could leave.</summary>
/// <remarks>
/// Which moments matter. A crash at time t leaves D(t) plus any subset of P(t): D is durable, P is issued and not covered by a completed flush. The
/// checker asks whether that is allowed by O(t), what the program had promised at t.
/// <list type="number">
/// <item>Between two moments at which something becomes durable, D stays and P only grows. So every state of an earlier moment is a state of the last
/// moment of the interval, and one capture there, just before the next flush takes effect, holds them all.</item>
/// <item>O changes in two ways. A guest's flush that returns makes it stricter, and stays in force to the end of the interval: checking later is checking
/// harder. A guest's write makes it laxer, by one value; a state of an earlier moment cannot hold that value, because nothing that carries it had been
/// issued, so the laxer question still refuses it. This needs values that do not repeat: guests write stamped sectors (<see cref="GuestStamp"/>).</item>
/// <item>Zeroes do repeat: a sector that wrongly reads as zeroes would be excused by a write-zeroes or discard that the guest issues a moment later.
/// Hence a capture also just before those, which <see cref="SectorOracle"/> announces.</item>
/// <item>The end of the run closes the last interval; <see cref="CrashCheck"/> captures it.</item>
/// </list>
/// With more pending operations than are enumerated exhaustively, a subset of P at an earlier moment may not be among those that are tried at the later
/// one. Prefixes are: the states "everything completed so far survived". <see cref="CapturePoints.EveryOperation"/> tries more of the rest.
/// </remarks>
public sealed class CrashRecorder : IDisposable
{
    private readonly CachedVolume _volume;
    private readonly List<CrashImage> _images = [];
    private readonly CapturePoints _points;
    private readonly SectorOracle? _oracle;

    /// <summary>Watches <paramref name="storage"/> from now on. One recorder at a time watches a storage.</summary>
    /// <param name="storage">Storage with a volatile write cache.</param>
    /// <param name="oracle">What the guest was promised; captured with each image as its observation unless <see cref="Observe"/> says otherwise.</param>
    /// <param name="points">When to capture.</param>
    public CrashRecorder(SimulatedStorageProvider storage, SectorOracle? oracle = null, CapturePoints points = CapturePoints.Sufficient)
        : this(storage.Volume, oracle, points)
    {
    }

    internal CrashRecorder(CachedVolume volume, SectorOracle? oracle, CapturePoints points)
    {
        if (volume.BeforeDurabilityChange is not null)
        {
            throw new InvalidOperationException("The storage is watched by another recorder already.");
        }

        _volume = volume;
        _oracle = oracle;
        _points = points;
        Observe = oracle is null ? null : oracle.Snapshot;
        volume.BeforeDurabilityChange = () => Capture("before something becomes durable");
        if (points == CapturePoints.EveryOperation)
        {
            volume.AfterOperation = () => Capture("after an operation");
        }

        if (oracle is not null)
        {
            oracle.BeforeZeroes += CaptureBeforeZeroes;
        }
    }

    /// <summary>
    /// What the program had promised at the moment of a capture, kept in <see cref="CrashImage.Observation"/>. Answer something that does not change later.
    /// </summary>
    public Func<object?>? Observe { get; set; }

    /// <summary>The images captured so far, in order.</summary>
    public IReadOnlyList<CrashImage> Images => _images;

    /// <summary>Captures what a crash now could leave.</summary>
    public CrashImage Capture(string reason)
    {
        var image = new CrashImage(_images.Count, reason, _volume, Observe?.Invoke());
        _images.Add(image);
        return image;
    }

    /// <summary>The state that a line names which <see cref="CrashState.ToString"/> wrote in an equal run.</summary>
    /// <exception cref="FormatException">The line names no state of this run.</exception>
    public CrashState FindState(string line)
    {
        int number = CrashLine.ReadImageNumber(line);
        return number < _images.Count
            ? _images[number].FindState(line)
            : throw new FormatException($"\"{line}\" names crash point {number}; this run has {_images.Count}.");
    }

    /// <summary>Stops watching; the images stay.</summary>
    public void Dispose()
    {
        _volume.BeforeDurabilityChange = null;
        if (_points == CapturePoints.EveryOperation)
        {
            _volume.AfterOperation = null;
        }

        if (_oracle is not null)
        {
            _oracle.BeforeZeroes -= CaptureBeforeZeroes;
        }
    }

    private void CaptureBeforeZeroes(object? sender, EventArgs e) => Capture("before the guest zeroes or discards");
}
