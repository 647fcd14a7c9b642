namespace BlockLayer.Cli;

/// <summary>What the process returns. Where qemu-img has a code for it, it is the same.</summary>
internal static class ExitCode
{
    internal const int Success = 0;

    /// <summary>Anything that went wrong, wrong use included.</summary>
    internal const int Failure = 1;

    /// <summary><c>compare</c>: the images differ.</summary>
    internal const int Different = 1;

    /// <summary><c>compare</c>: wrong use, or an image could not be opened.</summary>
    internal const int CompareFailure = 2;

    /// <summary><c>compare</c>: an image could not be read.</summary>
    internal const int CompareReadFailure = 4;

    /// <summary><c>check</c>: the image is corrupt.</summary>
    internal const int CheckCorrupt = 2;

    /// <summary><c>check</c>: space is lost, nothing else.</summary>
    internal const int CheckLeaks = 3;

    /// <summary><c>check</c>: the format has nothing to check.</summary>
    internal const int CheckUnsupported = 63;

    /// <summary><c>inspect</c>: the image is damaged.</summary>
    internal const int InspectDamaged = 2;

    /// <summary><c>inspect</c>: no image of a known format, or not of the given one.</summary>
    internal const int InspectNotAnImage = 4;

    /// <summary><c>inspect</c>: a format or feature that is not implemented.</summary>
    internal const int InspectUnsupported = 63;

    /// <summary>Somebody else uses the image; the same command may work later (EX_TEMPFAIL of sysexits.h).</summary>
    internal const int InUse = 75;

    /// <summary>An image refers to a file that the policy does not allow; <c>inspect</c>: it refers to other files (EX_NOPERM of sysexits.h).</summary>
    internal const int Refused = 77;

    /// <summary>Stopped by Ctrl-C or a termination request: 128 and the number of SIGINT, as shells have it.</summary>
    internal const int Interrupted = 130;
}
