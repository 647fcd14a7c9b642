namespace BlockLayer.Graph;

/// <summary>How much of a disk's room is taken before it is written.</summary>
public enum Preallocation
{
    /// <summary>None: files stay as sparse as they can.</summary>
    Off,

    /// <summary>Mappings, so that a guest's first write changes no table; the data stays sparse. For formats that have mappings.</summary>
    Metadata,

    /// <summary>All of it, reserved in the file system as far as it can: no write fails for lack of room.</summary>
    Falloc,

    /// <summary>All of it, written as zeroes: also what the file system does at a first write is done.</summary>
    Full,
}
