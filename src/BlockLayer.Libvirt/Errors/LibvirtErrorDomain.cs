namespace BlockLayer.Libvirt;

/// <summary>Which part told an error, with libvirt's numbers (<c>virErrorDomain</c> in virterror.h).</summary>
public enum LibvirtErrorDomain
{
    /// <summary><c>VIR_FROM_NONE</c>: there is no error.</summary>
    None = 0,

    /// <summary><c>VIR_FROM_XML</c>: the reader of XML text.</summary>
    Xml = 5,

    /// <summary><c>VIR_FROM_QEMU</c>: what does the work; programs look for the hypervisor's number here, whose place the block layer takes.</summary>
    Qemu = 10,

    /// <summary><c>VIR_FROM_STORAGE</c>: files and backing chains.</summary>
    Storage = 18,

    /// <summary><c>VIR_FROM_DOMAIN</c>: domains, and the checks in front of every call.</summary>
    Domain = 20,

    /// <summary><c>VIR_FROM_DOMAIN_SNAPSHOT</c>: snapshots and what is stored of them.</summary>
    DomainSnapshot = 35,
}
