using BlockLayer.Errors;

namespace BlockLayer.Storage;

/// <summary>The framework's exceptions as errors of the family. On Unix <see cref="Exception.HResult"/> of an I/O error is errno, on Windows a Win32 code.</summary>
internal static class ManagedErrors
{
    private const int Win32WriteProtected = unchecked((int)0x80070013);
    private const int Win32SharingViolation = unchecked((int)0x80070020);
    private const int Win32HandleDiskFull = unchecked((int)0x80070027);
    private const int Win32FileExists = unchecked((int)0x80070050);
    private const int Win32DiskFull = unchecked((int)0x80070070);

    /// <summary>True for what file calls throw when the system refuses them.</summary>
    internal static bool IsOfTheSystem(Exception error) => error is (IOException and not BlockLayerException) or UnauthorizedAccessException;

    /// <summary>The same failure with a kind. <paramref name="subject"/> starts the sentence.</summary>
    internal static BlockLayerException Failure(Exception error, string subject, string path, long? offset = null)
        => new(KindOf(error), $"{subject} failed: {error.Message}", error) { Path = path, Offset = offset };

    private static BlockErrorKind KindOf(Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException or DriveNotFoundException => BlockErrorKind.NotFound,
        UnauthorizedAccessException => BlockErrorKind.Denied,
        _ when !OperatingSystem.IsWindows() => Errno.KindOf(error.HResult),
        _ => error.HResult switch
        {
            Win32WriteProtected => BlockErrorKind.ReadOnly,
            Win32SharingViolation or Win32FileExists => BlockErrorKind.Conflict,
            Win32HandleDiskFull or Win32DiskFull => BlockErrorKind.NoSpace,
            _ => BlockErrorKind.Io,
        },
    };
}
