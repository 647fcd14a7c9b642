using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace BlockLayer.Libvirt;

/// <summary>Reads and writes libvirt's XML: no document type, no entities, bounded, and every error says the element and its line.</summary>
internal static class XmlText
{
    /// <summary>The root element of a text.</summary>
    /// <param name="text">What a caller gave or a file holds.</param>
    /// <param name="root">The name that the root has to have.</param>
    /// <param name="maxCharacters">The longest text that is read.</param>
    /// <exception cref="LibvirtException">XmlDetail: not well-formed, or beyond a limit; XmlError: another root.</exception>
    internal static XElement Read(string text, string root, int maxCharacters = XmlLimits.MaxCharacters)
    {
        var settings = new XmlReaderSettings
        {
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
            MaxCharactersInDocument = maxCharacters,
            IgnoreComments = true,
            IgnoreProcessingInstructions = true,
        };
        try
        {
            ThrowIfTooDeep(text, settings);
            using XmlReader reader = XmlReader.Create(new StringReader(text), settings);
            XElement found = XElement.Load(reader, LoadOptions.SetLineInfo);
            return found.Name == root ? found : throw Invalid(found, $"expected is <{root}>.");
        }
        catch (XmlException error)
        {
            throw new LibvirtException(LibvirtErrorCode.XmlDetail, LibvirtErrorDomain.Xml, $"The XML cannot be read: {error.Message}", error);
        }
    }

    /// <summary>The text of an element. Characters that XML has no way to write, and that file names may have all the same, are left out, as libvirt leaves them out.</summary>
    internal static string Write(XElement element)
    {
        var written = new XElement(element);
        foreach (XAttribute attribute in written.DescendantsAndSelf().Attributes().Where(static attribute => !attribute.IsNamespaceDeclaration))
        {
            attribute.Value = Writable(attribute.Value);
        }

        return written.ToString();
    }

    /// <summary>An element or one of its attributes has a value that is not allowed. <paramref name="why"/> completes "&lt;disk&gt; at line 3: ...".</summary>
    internal static LibvirtException Invalid(XElement element, string why)
        => new(LibvirtErrorCode.XmlError, LibvirtErrorDomain.Domain, $"{Place(element)}: {why}");

    /// <summary>An element is valid and asks for something that does not exist here.</summary>
    internal static LibvirtException Unsupported(XElement element, string why)
        => new(LibvirtErrorCode.ConfigUnsupported, LibvirtErrorDomain.Domain, $"{Place(element)}: {why}");

    /// <summary>The child of that name; null without one.</summary>
    /// <exception cref="LibvirtException">XmlError: there are several.</exception>
    internal static XElement? Child(this XElement element, string name)
    {
        XElement? found = element.Element(name);
        return found?.ElementsAfterSelf(name).FirstOrDefault() is { } second
            ? throw Invalid(second, $"<{element.Name.LocalName}> has more than one.")
            : found;
    }

    /// <summary>The child of that name.</summary>
    /// <exception cref="LibvirtException">XmlError: there is none, or there are several.</exception>
    internal static XElement RequiredChild(this XElement element, string name)
        => element.Child(name) ?? throw Invalid(element, $"<{name}> is missing.");

    /// <summary>The value of an attribute; null without one.</summary>
    internal static string? Text(this XElement element, string attribute) => element.Attribute(attribute)?.Value;

    /// <summary>The value of an attribute, which is not empty.</summary>
    /// <exception cref="LibvirtException">XmlError: it is missing or empty.</exception>
    internal static string RequiredText(this XElement element, string attribute)
        => element.Text(attribute) is { Length: > 0 } value ? value : throw Invalid(element, $"the attribute {attribute} is missing.");

    /// <summary>One of several values.</summary>
    /// <exception cref="LibvirtException">XmlError: it has another one.</exception>
    internal static T? Choice<T>(this XElement element, string attribute, params ReadOnlySpan<(string Text, T Value)> choices)
        where T : struct
    {
        if (element.Text(attribute) is not { } found)
        {
            return null;
        }

        var names = new List<string>();
        foreach ((string text, T value) in choices)
        {
            if (text == found)
            {
                return value;
            }

            names.Add(text);
        }

        throw Invalid(element, $"{attribute} is '{found}'; allowed are {string.Join(", ", names)}.");
    }

    private static string Writable(string value)
    {
        var written = new StringBuilder(value.Length);
        foreach (Rune rune in value.EnumerateRunes())
        {
            if (!rune.IsBmp || XmlConvert.IsXmlChar((char)rune.Value))
            {
                written.Append(rune);
            }
        }

        return written.ToString();
    }

    // The depth is counted before a tree is built: what works on trees recurses.
    private static void ThrowIfTooDeep(string text, XmlReaderSettings settings)
    {
        using XmlReader reader = XmlReader.Create(new StringReader(text), settings);
        while (reader.Read())
        {
            if (reader.Depth > XmlLimits.MaxDepth)
            {
                throw new LibvirtException(
                    LibvirtErrorCode.XmlDetail,
                    LibvirtErrorDomain.Xml,
                    $"The XML cannot be read: line {((IXmlLineInfo)reader).LineNumber} lies inside more than {XmlLimits.MaxDepth} elements.");
            }
        }
    }

    private static string Place(XElement element)
        => element is IXmlLineInfo line && line.HasLineInfo() ? $"<{element.Name.LocalName}> at line {line.LineNumber}" : $"<{element.Name.LocalName}>";
}
