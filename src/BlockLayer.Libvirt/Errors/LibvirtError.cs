using System.Diagnostics.CodeAnalysis;
using BlockLayer.Errors;
using BlockLayer.Jobs;

namespace BlockLayer.Libvirt;

/// <summary>An error as libvirt's callers know it: <c>virError</c> without the deprecated fields.</summary>
/// <param name="Code">For programs.</param>
/// <param name="Domain">Which part told it.</param>
/// <param name="Message">For people; empty where there is no error.</param>
public sealed record LibvirtError(LibvirtErrorCode Code, LibvirtErrorDomain Domain, string Message)
{
    /// <summary>No error.</summary>
    public static LibvirtError None { get; } = new(LibvirtErrorCode.Ok, LibvirtErrorDomain.None, "");

    /// <summary>
    /// How a failure is told to libvirt's callers; null for what is no failure of a call but a mistake in the program, which no return value may hide.
    /// </summary>
    internal static LibvirtError? From(Exception failure) => failure switch
    {
        LibvirtException libvirt => libvirt.Error,
        OpenDeniedException denied => new(LibvirtErrorCode.AccessDenied, LibvirtErrorDomain.Storage, Describe(denied)),
        JobVerbException verb => new(LibvirtErrorCode.OperationInvalid, LibvirtErrorDomain.Qemu, verb.Message),
        BlockLayerException block => new(CodeOf(block.Kind), LibvirtErrorDomain.Qemu, Describe(block)),
        OperationCanceledException => new(LibvirtErrorCode.OperationAborted, LibvirtErrorDomain.Qemu, "The operation was cancelled."),
        _ => null,
    };

    /// <summary>How what ended a job, or went wrong behind its end, is told, be it a mistake in the program or not; null for nothing.</summary>
    [return: NotNullIfNotNull(nameof(failure))]
    internal static LibvirtError? Of(Exception? failure) => failure is null
        ? null
        : From(failure) ?? new(LibvirtErrorCode.InternalError, LibvirtErrorDomain.Qemu, $"{failure.GetType().Name}: {failure.Message}");

    private static LibvirtErrorCode CodeOf(BlockErrorKind kind) => kind switch
    {
        BlockErrorKind.Io or BlockErrorKind.NoSpace or BlockErrorKind.NotFound => LibvirtErrorCode.SystemError,
        BlockErrorKind.ReadOnly => LibvirtErrorCode.OperationInvalid,
        BlockErrorKind.OutOfRange => LibvirtErrorCode.InvalidArg,
        BlockErrorKind.Unsupported => LibvirtErrorCode.ConfigUnsupported,
        BlockErrorKind.Denied => LibvirtErrorCode.AccessDenied,
        BlockErrorKind.Conflict => LibvirtErrorCode.ResourceBusy,
        BlockErrorKind.InvalidFormat or BlockErrorKind.Corrupt => LibvirtErrorCode.OperationFailed,
        _ => LibvirtErrorCode.InternalError,
    };

    private static string Describe(BlockLayerException error)
        => error.Path is { } path && !error.Message.Contains(path, StringComparison.Ordinal) ? $"{path}: {error.Message}" : error.Message;
}
