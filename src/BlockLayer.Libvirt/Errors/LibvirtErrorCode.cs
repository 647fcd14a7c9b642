namespace BlockLayer.Libvirt;

/// <summary>What went wrong, with libvirt's numbers (<c>virErrorNumber</c> in virterror.h): those that calls of this library give.</summary>
public enum LibvirtErrorCode
{
    /// <summary><c>VIR_ERR_OK</c>: nothing went wrong.</summary>
    Ok = 0,

    /// <summary><c>VIR_ERR_INTERNAL_ERROR</c>: the block layer failed in a way that has no code of its own.</summary>
    InternalError = 1,

    /// <summary><c>VIR_ERR_NO_SUPPORT</c>: the call exists, and is not implemented here.</summary>
    NoSupport = 3,

    /// <summary><c>VIR_ERR_INVALID_CONN</c>: the connection was closed.</summary>
    InvalidConnection = 6,

    /// <summary><c>VIR_ERR_INVALID_DOMAIN</c>: the domain belongs to another host.</summary>
    InvalidDomain = 7,

    /// <summary><c>VIR_ERR_INVALID_ARG</c>: an argument is missing, unknown, or does not go with another.</summary>
    InvalidArg = 8,

    /// <summary><c>VIR_ERR_OPERATION_FAILED</c>: the operation was tried, and failed.</summary>
    OperationFailed = 9,

    /// <summary><c>VIR_ERR_XML_ERROR</c>: an element or attribute is missing or has a value that is not allowed.</summary>
    XmlError = 27,

    /// <summary><c>VIR_ERR_DOM_EXIST</c>: a domain of that name exists already.</summary>
    DomainExists = 28,

    /// <summary><c>VIR_ERR_OPERATION_DENIED</c>: the connection is read-only.</summary>
    OperationDenied = 29,

    /// <summary><c>VIR_ERR_XML_DETAIL</c>: the text is not well-formed XML, or a name in it cannot be used.</summary>
    XmlDetail = 35,

    /// <summary><c>VIR_ERR_SYSTEM_ERROR</c>: the operating system refused: a missing file, a full disk, a failed transfer.</summary>
    SystemError = 38,

    /// <summary><c>VIR_ERR_NO_DOMAIN</c>: there is no domain of that name.</summary>
    NoDomain = 42,

    /// <summary><c>VIR_ERR_OPERATION_INVALID</c>: not in this state, such as a job on a domain that is shut off.</summary>
    OperationInvalid = 55,

    /// <summary><c>VIR_ERR_CONFIG_UNSUPPORTED</c>: the configuration asks for something that cannot be had.</summary>
    ConfigUnsupported = 67,

    /// <summary><c>VIR_ERR_INVALID_DOMAIN_SNAPSHOT</c>: the stored description of snapshots cannot be used.</summary>
    InvalidDomainSnapshot = 71,

    /// <summary><c>VIR_ERR_NO_DOMAIN_SNAPSHOT</c>: there is no snapshot of that name, or no current one.</summary>
    NoDomainSnapshot = 72,

    /// <summary><c>VIR_ERR_ARGUMENT_UNSUPPORTED</c>: the arguments are valid together, and not implemented together.</summary>
    ArgumentUnsupported = 74,

    /// <summary><c>VIR_ERR_OPERATION_ABORTED</c>: somebody cancelled it.</summary>
    OperationAborted = 78,

    /// <summary><c>VIR_ERR_OVERFLOW</c>: a number does not fit.</summary>
    Overflow = 82,

    /// <summary><c>VIR_ERR_BLOCK_COPY_ACTIVE</c>: a copy or active commit runs on the disk, or is not ready to pivot.</summary>
    BlockCopyActive = 83,

    /// <summary><c>VIR_ERR_OPERATION_UNSUPPORTED</c>: not possible for this disk as it is, such as a second job.</summary>
    OperationUnsupported = 84,

    /// <summary><c>VIR_ERR_RESOURCE_BUSY</c>: somebody else uses it.</summary>
    ResourceBusy = 87,

    /// <summary><c>VIR_ERR_ACCESS_DENIED</c>: the open policy or the operating system does not allow it.</summary>
    AccessDenied = 88,
}
