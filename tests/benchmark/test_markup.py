from langrl.benchmark.markup import Html, element, join


def test_texts_and_attributes_are_escaped():
    made = element("p", "<b> & 'c'", title='"><script>')
    assert made == '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt; &amp; &#x27;c&#x27;</p>'


def test_elements_stand_in_elements():
    assert element("p", element("b", "a"), ["c", element("i", 1)]) == "<p><b>a</b>c<i>1</i></p>"


def test_nothing_is_left_out():
    assert element("p", None, "a", id=None, class_="x", aria_label="y") == (
        '<p class="x" aria-label="y">a</p>'
    )


def test_html_joined_with_text_is_escaped_once():
    assert join([Html("<b></b>"), "<"]) == "<b></b>&lt;"


def test_text_added_to_html_counts_as_text():
    assert join([Html("<b></b>") + "<i>"]) == "&lt;b&gt;&lt;/b&gt;&lt;i&gt;"
