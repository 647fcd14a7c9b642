namespace BlockLayer.Libvirt;

/// <summary>A call that libvirt would have answered with -1; <see cref="Error"/> says why, as <c>virGetLastError</c> would.</summary>
public sealed class LibvirtException : Exception
{
    /// <summary>Makes the exception of an error.</summary>
    public LibvirtException(LibvirtError error, Exception? cause = null)
        : base(error.Message, cause)
        => Error = error;

    /// <summary>Makes an error with the given code, part and sentence.</summary>
    public LibvirtException(LibvirtErrorCode code, LibvirtErrorDomain domain, string message, Exception? cause = null)
        : this(new LibvirtError(code, domain, message), cause)
    {
    }

    /// <summary>Code, part and message.</summary>
    public LibvirtError Error { get; }

    /// <summary>The code alone.</summary>
    public LibvirtErrorCode Code => Error.Code;

    /// <summary>An argument of a call that no state of the domain could make right.</summary>
    internal static LibvirtException InvalidArg(string message) => new(LibvirtErrorCode.InvalidArg, LibvirtErrorDomain.Domain, message);

    /// <summary>A call that the work itself refuses, with the code that libvirt's QEMU driver gives.</summary>
    internal static LibvirtException Refused(LibvirtErrorCode code, string message, Exception? cause = null) => new(code, LibvirtErrorDomain.Qemu, message, cause);
}
