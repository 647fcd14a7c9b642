namespace BlockLayer.Formats.Qcow2;

/// <summary>crypt_method.</summary>
internal enum EncryptionMethod : uint
{
    /// <summary>Not encrypted.</summary>
    None = 0,

    /// <summary>AES-256 in CBC mode, obsolete.</summary>
    Aes = 1,

    /// <summary>LUKS; the header extension says where its header is.</summary>
    Luks = 2,
}
