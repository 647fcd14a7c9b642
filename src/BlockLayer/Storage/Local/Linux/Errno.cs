using System.Runtime.InteropServices;
using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>Error numbers of Linux, and the one place where they become kinds.</summary>
internal static class Errno
{
    internal const int NotPermitted = 1;         // EPERM
    internal const int NoEntry = 2;              // ENOENT
    internal const int Interrupted = 4;          // EINTR
    internal const int NoDevice = 6;             // ENXIO
    internal const int BadFile = 9;              // EBADF
    internal const int TryAgain = 11;            // EAGAIN
    internal const int AccessDenied = 13;        // EACCES
    internal const int Busy = 16;                // EBUSY
    internal const int Exists = 17;              // EEXIST
    internal const int CrossDevice = 18;         // EXDEV
    internal const int NotSuchDevice = 19;       // ENODEV
    internal const int NotDirectory = 20;        // ENOTDIR
    internal const int IsDirectory = 21;         // EISDIR
    internal const int Invalid = 22;             // EINVAL
    internal const int TextBusy = 26;            // ETXTBSY
    internal const int NoSpace = 28;             // ENOSPC
    internal const int ReadOnlyFileSystem = 30;  // EROFS
    internal const int NoLocks = 37;             // ENOLCK
    internal const int NotImplemented = 38;      // ENOSYS
    internal const int TooManyLinks = 40;        // ELOOP
    internal const int NotSupported = 95;        // EOPNOTSUPP
    internal const int QuotaExceeded = 122;      // EDQUOT

    /// <summary>What a caller branches on.</summary>
    internal static BlockErrorKind KindOf(int errno) => errno switch
    {
        NoSpace or QuotaExceeded => BlockErrorKind.NoSpace,
        NotPermitted or AccessDenied or IsDirectory or TooManyLinks or NoDevice => BlockErrorKind.Denied,
        NoEntry or NotDirectory => BlockErrorKind.NotFound,
        ReadOnlyFileSystem => BlockErrorKind.ReadOnly,
        Exists or Busy or TextBusy => BlockErrorKind.Conflict,
        NotSupported or NotImplemented => BlockErrorKind.Unsupported,
        _ => BlockErrorKind.Io,
    };

    /// <summary>True when the file or the kernel lacks a call or one of its modes, so that something slower has to be used.</summary>
    internal static bool MeansUnsupported(int errno) => errno is NotSupported or NotImplemented or NotSuchDevice or Invalid;

    /// <summary>An error of the given number. <paramref name="subject"/> starts the sentence: "Write of 512 bytes at 4096".</summary>
    internal static BlockLayerException Failure(int errno, string subject, string path, long? offset = null)
        => new(KindOf(errno), $"{subject} failed: {Marshal.GetPInvokeErrorMessage(errno)}.") { Path = path, Offset = offset };
}
