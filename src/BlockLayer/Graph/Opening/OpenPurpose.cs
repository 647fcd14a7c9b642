namespace BlockLayer.Graph;

/// <summary>What an image is opened for.</summary>
public enum OpenPurpose
{
    /// <summary>To be used: what must not be written as it is, is refused or repaired first.</summary>
    Use,

    /// <summary>To be checked and repaired: an image that is marked corrupt, or was not closed cleanly, is opened for writing as it is, and nothing but a repair writes it.</summary>
    Repair,
}
