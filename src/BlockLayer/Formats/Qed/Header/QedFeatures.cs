namespace BlockLayer.Formats.Qed;

/// <summary>The bits of the header's <c>features</c> field. An image with any other bit must not be opened.</summary>
[Flags]
internal enum QedFeatures : ulong
{
    None = 0,

    /// <summary>QED_F_BACKING_FILE: the backing file name fields are valid.</summary>
    BackingFile = 1,

    /// <summary>QED_F_NEED_CHECK: clusters were being allocated when the image was last written.</summary>
    NeedCheck = 2,

    /// <summary>QED_F_BACKING_FORMAT_NO_PROBE: the backing file is raw, whatever it starts with.</summary>
    BackingIsRaw = 4,

    Known = BackingFile | NeedCheck | BackingIsRaw,
}
